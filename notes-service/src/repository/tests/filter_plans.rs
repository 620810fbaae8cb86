//! What filters cost, asserted on the plans of the engines.

use runtime::database::Engine;
use sea_orm::{ConnectionTrait as _, DbBackend};

use super::super::{notes, page, ranges, search};
use super::explain::partitions;
use super::*;
use crate::domain::{
    Color, NoteFilter, Order, PageQuery, Position, SortField, SortValue, TagId, TagName, TagNameKey, TimeRange,
    TitleKey, View,
};
use crate::testing::list_in;

/// Where a page in the middle begins, and where what is looked at for the first page and for that one ends.
fn places(order: Order) -> [Position; 3] {
    let (times, titles) =
        if order.descending { ([10, 18, 8], ["500", "90", "40"]) } else { ([10, 2, 12], ["500", "18", "60"]) };
    let value = |index: usize| match order.field {
        SortField::CreateTime | SortField::UpdateTime => SortValue::Time(at(times[index])),
        SortField::Title => SortValue::Title(TitleKey::of(&Title::parse(titles[index]).expect("a title"))),
    };
    [0, 1, 2].map(|index| Position { value: value(index), id: NoteId::from_uuid(Uuid::max()) })
}

/// So many seconds after the first notes were made.
fn at(seconds: i64) -> SystemTime {
    from_micros(1_764_000_000_000_000 + seconds * 1_000_000)
}

/// What is expected of a range of an index.
struct Range {
    column: &'static str,
    descending: bool,
    /// Whether it begins behind a place, ends at one, and lies in a range of times.
    begins: bool,
    ends: bool,
    in_time: bool,
}

impl Range {
    fn of(query: &PageQuery, ends: bool) -> Self {
        let (column, range) = match query.order.field {
            SortField::CreateTime => ("create_us", query.filter.create_time),
            SortField::UpdateTime => ("update_us", query.filter.update_time),
            SortField::Title => ("title_key", None),
        };
        let (begins, in_time) = (query.after.is_some(), range.is_some());
        Self { column, descending: query.order.descending, begins, ends, in_time }
    }

    /// As SQLite writes it.
    fn sqlite(&self) -> String {
        let column = self.column;
        let bound = |is_place, sign| {
            if is_place {
                format!(" AND ({column},note_id){sign}(?,?)")
            } else if self.in_time {
                format!(" AND {column}{sign}?")
            } else {
                String::new()
            }
        };
        let (lower, upper) = if self.descending { (self.ends, self.begins) } else { (self.begins, self.ends) };
        format!("trash_epoch=?{}{})", bound(lower, '>'), bound(upper, '<'))
    }

    /// The conditions of the index as PostgreSQL writes them.
    fn postgres(&self) -> Vec<String> {
        let column = self.column;
        let bound = |is_place, place_sign, time_sign| {
            if is_place {
                Some(format!("(ROW({column}, note_id) {place_sign} ROW("))
            } else {
                self.in_time.then(|| format!("({column} {time_sign} '"))
            }
        };
        let bounds = if self.descending {
            [bound(self.begins, "<", "<"), bound(self.ends, ">=", ">=")]
        } else {
            [bound(self.begins, ">", ">="), bound(self.ends, "<=", "<")]
        };
        bounds.into_iter().flatten().collect()
    }

    /// Asserts that a plan reads this range of an index of `table`, once for each trash, and no more.
    #[track_caller]
    fn check(&self, plan: &str, engine: Engine, table: &str, times: usize) {
        match engine {
            Engine::Sqlite => {
                let order = match self.column {
                    "create_us" => "create_time",
                    "update_us" => "update_time",
                    _ => "title",
                };
                let tag = if table == "notes" { "" } else { "tag_id=? AND " };
                let range = format!("{table}_by_{order} (owner_id=? AND {tag}{}", self.sqlite());
                assert_eq!(plan.matches(&range).count(), times, "{range}\n{plan}");
                assert!(!plan.contains("SCAN note"), "{plan}");
            }
            Engine::Postgres => {
                let conditions: Vec<_> = plan.lines().filter(|line| line.contains("Index Cond")).collect();
                for bound in self.postgres() {
                    let found = conditions.iter().filter(|condition| condition.contains(&bound)).count();
                    assert_eq!(found, times, "{bound}\n{plan}");
                }
                assert_eq!(partitions(plan, &format!("{table}_")).len(), 1, "{plan}");
                assert!(partitions(plan, "notes_").len() <= 1, "{plan}");
                assert!(!plan.contains("Seq Scan") && !plan.contains("Hash"), "{plan}");
            }
        }
    }
}

impl Fixture {
    /// What statements are written for.
    pub(super) fn backend(&self) -> DbBackend {
        match self.repository.database.engine() {
            Engine::Sqlite => DbBackend::Sqlite,
            Engine::Postgres => DbBackend::Postgres,
        }
    }

    /// An owner of many notes and a tag that half of them have, and one of three notes in the same partition with a tag
    /// that all of them have.
    async fn heavy_and_light(&self) -> [(Subject, TagId); 2] {
        let heavy = self.owner_of_many_with_a_tag().await;
        let place = self.partition_of(heavy.0).await;
        let light = loop {
            let light = somebody();
            if self.partition_of(light).await == place {
                break light;
            }
        };
        let tag = self.tag(light, "hers").await.id;
        for _ in 0..3 {
            self.create(light, NoteFields { tags: vec![tag], ..NoteFields::default() }).await;
        }
        if self.backend() == DbBackend::Postgres {
            self.copy_notes(heavy.0).await;
        } else {
            self.analyze().await;
        }
        [heavy, (light, tag)]
    }

    /// Repeats the notes of an owner nineteen times, each time a second later: PostgreSQL would read the few that there
    /// are from end to end rather than two thousand of them by an index. Then does what PostgreSQL does by itself before
    /// long, so that an index may be read without what it leads to.
    async fn copy_notes(&self, owner: Subject) {
        let id = "md5(note_id::text || copy)::uuid";
        let times = "create_us + copy * 1000000, update_us + copy * 1000000";
        let source = "generate_series(1, 19) AS copy";
        let owner = format!("owner_id = '{}'", owner.as_uuid());
        // The triggers of foreign keys would take longer than all the rest.
        let copies = format!(
            "SET session_replication_role = replica;
             INSERT INTO notes (owner_id, note_id, title, title_key, snippet, content_bytes, pinned, archived, color,
                 state, create_us, update_us, revision, digest, change_seq, trash_epoch, tag_ids)
             SELECT owner_id, {id}, title, title_key, snippet, content_bytes, pinned, archived, color, state, {times},
                 revision, digest, change_seq, trash_epoch, tag_ids FROM notes, {source} WHERE {owner};
             INSERT INTO note_tags (owner_id, note_id, tag_id, trash_epoch, create_us, update_us, title_key)
             SELECT owner_id, {id}, tag_id, trash_epoch, {times}, title_key FROM note_tags, {source} WHERE {owner}"
        );
        let connection = sea_orm::Database::connect(self.store.url()).await.expect("the test server answers");
        for statement in [copies.as_str(), "VACUUM ANALYZE notes, note_tags"] {
            connection.execute_unprepared(statement).await.expect("the server's owner may do so");
        }
        connection.close().await.expect("it closes");
    }

    async fn partition_of(&self, owner: Subject) -> String {
        let plan = self.plan(notes::by_key(owner.as_uuid(), NoteId::from_uuid(Uuid::nil()), View::Basic)).await;
        partitions(&plan, "notes_").into_iter().collect()
    }

    /// Checks the plans of what is read for a page: the last note that is looked at, where there is need of it, and the
    /// page up to there.
    async fn check_plans(&self, owner: Subject, query: &PageQuery, until: Option<&Position>) {
        let (owner, engine) = (owner.as_uuid(), self.repository.database.engine());
        let (table, times) =
            (if query.filter.tag.is_some() { "note_tags" } else { "notes" }, usize::from(query.show_deleted) + 1);
        let until = until.filter(|_| ranges::looks_at_notes(query));
        if ranges::looks_at_notes(query) {
            let plan = self.plan(ranges::last_scanned(owner, query)).await;
            Range::of(query, false).check(&plan, engine, table, times);
        }
        let plan = self.plan(page::select(self.backend(), owner, query, until)).await;
        Range::of(query, until.is_some()).check(&plan, engine, table, times);
        let (is_tagged, looks) = (query.filter.tag.is_some(), ranges::looks_at_notes(query));
        match engine {
            Engine::Sqlite if is_tagged => {
                let by_key = "SEARCH notes USING PRIMARY KEY (owner_id=? AND note_id=?)";
                assert_eq!(plan.matches(by_key).count(), times, "{plan}");
            }
            Engine::Sqlite => assert!(query.show_deleted || !plan.contains("TEMP B-TREE"), "nothing is sorted\n{plan}"),
            Engine::Postgres => {
                let by_key = if is_tagged || looks { times } else { 0 };
                assert_eq!(plan.matches("AND (note_id = note").count(), by_key, "{plan}");
                assert_eq!(plan.matches("Nested Loop").count(), by_key, "{plan}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_with_a_filter_is_a_range_of_an_index_whoever_asks_and_however_deep() {
    let fixture = Fixture::fresh().await;
    let (none, range) = (NoteFilter::default(), TimeRange::parse(Some(at(2)), Some(at(18))).ok());
    for (is_heavy, (owner, tag)) in [true, false].into_iter().zip(fixture.heavy_and_light().await) {
        for (_, order) in Order::ALL {
            let filters = [
                NoteFilter { create_time: range, ..none },
                NoteFilter { update_time: range, ..none },
                NoteFilter { pinned: Some(true), ..none },
                NoteFilter { pinned: Some(true), color: Color::from_number(3), create_time: range, ..none },
                NoteFilter { tag: Some(tag), ..none },
                NoteFilter { tag: Some(tag), update_time: range, ..none },
                NoteFilter { tag: Some(tag), archived: Some(false), create_time: range, ..none },
            ];
            let [middle, first_end, middle_end] = places(order);
            for filter in filters {
                for show_deleted in [false, true] {
                    for (after, until) in [(None, &first_end), (Some(middle.clone()), &middle_end)] {
                        let query = PageQuery { filter, show_deleted, after, ..list_in(order) };
                        fixture.check_plans(owner, &query, is_heavy.then_some(until)).await;
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_search_looks_up_tags_by_their_names_and_by_the_notes_that_it_found() {
    let fixture = Fixture::fresh().await;
    let range = TimeRange::parse(Some(at(2)), Some(at(18))).ok();
    let filter = NoteFilter { pinned: Some(true), update_time: range, ..NoteFilter::default() };
    for (owner, tag) in fixture.heavy_and_light().await {
        let owner = owner.as_uuid();
        let sieve = search::Sieve::new(owner, true, &filter, &[tag], &[tag]);
        let found = fixture.plan(search::notes_by_changes(owner, &sieve, &[100, 500, 900])).await;
        let names = [TagNameKey::of(&TagName::parse("hers").expect("a name"))];
        let named = fixture.plan(search::by_names(owner, names.iter())).await;
        match fixture.repository.database.engine() {
            Engine::Sqlite => {
                assert!(found.contains("notes_by_change (owner_id=? AND change_seq=?)"), "{found}");
                let by_key = "note_tags USING PRIMARY KEY (owner_id=? AND note_id=? AND tag_id=?)";
                assert_eq!(found.matches(by_key).count(), 2, "{found}");
                assert!(!found.contains("SCAN note"), "{found}");
                assert!(named.contains("tags_by_name (owner_id=? AND name_key=?)"), "{named}");
            }
            Engine::Postgres => {
                let read = ["notes_", "note_tags_", "note_bodies_"].map(|table| partitions(&found, table).len());
                assert_eq!(read, [1, 1, 1], "{found}");
                assert_eq!(found.matches("AND (note_id = notes.note_id)").count(), 3, "{found}");
                assert!(!found.contains("Seq Scan on note") && !found.contains("Hash"), "{found}");
                // So few tags that a partition of them is read whole.
                assert_eq!(partitions(&named, "tags_").len(), 1, "{named}");
            }
        }
    }
}
