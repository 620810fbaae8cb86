use proto::notes::v1 as wire;

use super::{ETAG_RULE, Malformed, OUTPUT_ONLY, Violations, count};
use crate::app::{DeleteTag, TagsPage, UpdateTag};
use crate::domain::{
    Color, Etag, PageSize, TAG_PAGE_SIZE_DEFAULT, TAG_PAGE_SIZE_MAX, TAGS_PER_NOTE_MAX, Tag, TagFields, TagId, TagName,
    TagPatch,
};

const NAME_RULE: &str = "must be `tags/` and a UUID in lower case with hyphens";

/// What an update can change; `*` stands for all of them.
const CHANGEABLE: [&str; 2] = ["display_name", "color"];

pub(in crate::rpc) fn create_tag(request: &wire::CreateTagRequest) -> Result<TagFields, Malformed> {
    let mut violations = Violations::default();
    let tag = violations.required("tag", request.tag.as_ref());
    let patch = tag.map(|tag| patch(&mut violations, tag, |_| true));
    let fields = patch.and_then(|patch| {
        patch.display_name.zip(patch.color).map(|(display_name, color)| TagFields { display_name, color })
    });
    violations.unless_any(fields)
}

pub(in crate::rpc) fn get_tag(request: &wire::GetTagRequest) -> Result<TagId, Malformed> {
    let mut violations = Violations::default();
    let id = violations.tag_name("name", &request.name);
    violations.unless_any(id)
}

pub(in crate::rpc) fn list_tags(request: &wire::ListTagsRequest) -> Result<PageSize, Malformed> {
    let mut violations = Violations::default();
    let size = PageSize::bounded(request.page_size, TAG_PAGE_SIZE_DEFAULT, TAG_PAGE_SIZE_MAX);
    let size = violations.check("page_size", size.ok_or("must not be negative"));
    violations.unless_any(size)
}

pub(in crate::rpc) fn update_tag(request: &wire::UpdateTagRequest) -> Result<UpdateTag, Malformed> {
    let mut violations = Violations::default();
    let mask: Vec<_> = request.update_mask.iter().flat_map(|mask| &mask.paths).map(String::as_str).collect();
    let known =
        |path: &str| path == "*" || path == "note_count" || CHANGEABLE.contains(&path) || OUTPUT_ONLY.contains(&path);
    if !mask.iter().all(|path| known(path)) {
        violations.add("update_mask", format!("must name only `*`, {}", CHANGEABLE.join(", ")));
    }
    let Some(tag) = violations.required("tag", request.tag.as_ref()) else { return violations.unless_any(None) };
    let id = violations.tag_name("tag.name", &tag.name);
    let etag = violations.optional("tag.etag", &tag.etag, Etag::parse, ETAG_RULE);
    let patch = if mask.is_empty() {
        patch(&mut violations, tag, |path| match path {
            "display_name" => !tag.display_name.is_empty(),
            _ => tag.color != 0,
        })
    } else {
        patch(&mut violations, tag, |path| mask.iter().any(|named| *named == path || *named == "*"))
    };
    violations.unless_any(id.map(|id| UpdateTag { id, patch, etag }))
}

pub(in crate::rpc) fn delete_tag(request: &wire::DeleteTagRequest) -> Result<DeleteTag, Malformed> {
    let mut violations = Violations::default();
    let id = violations.tag_name("name", &request.name);
    let etag = violations.optional("etag", &request.etag, Etag::parse, ETAG_RULE);
    violations.unless_any(id.map(|id| DeleteTag { id, etag, force: request.force }))
}

/// The fields of `tag` that are `named`.
fn patch(violations: &mut Violations, tag: &wire::Tag, named: impl Fn(&str) -> bool) -> TagPatch {
    let name = || TagName::parse(&tag.display_name);
    let color = || Color::from_number(tag.color).ok_or("must be a value of NoteColor");
    TagPatch {
        display_name: named("display_name").then(|| violations.check("tag.display_name", name())).flatten(),
        color: named("color").then(|| violations.check("tag.color", color())).flatten(),
    }
}

impl Violations {
    pub(super) fn tag_name(&mut self, field: &str, name: &str) -> Option<TagId> {
        self.check(field, name.strip_prefix("tags/").and_then(TagId::parse).ok_or(NAME_RULE))
    }

    /// Reads the tags of a note.
    pub(super) fn tags(&mut self, field: &str, names: &[String]) -> Option<Vec<TagId>> {
        if names.len() > TAGS_PER_NOTE_MAX {
            self.add(field, format!("must have at most {TAGS_PER_NOTE_MAX} entries"));
            return None;
        }
        let mut tags = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let field = format!("{field}[{place}]");
            let Some(tag) = self.tag_name(&field, name) else { continue };
            if tags.contains(&tag) {
                self.add(&field, "must not be that of another entry");
            }
            tags.push(tag);
        }
        (tags.len() == names.len()).then_some(tags)
    }
}

/// The name of a tag.
pub(in crate::rpc) fn tag_name(id: TagId) -> String {
    format!("tags/{id}")
}

impl From<Tag> for wire::Tag {
    fn from(tag: Tag) -> Self {
        Self {
            name: tag_name(tag.id),
            display_name: tag.fields.display_name.into_string(),
            color: tag.fields.color.number().into(),
            note_count: count(tag.note_count),
            create_time: Some(tag.create_time.into()),
            update_time: Some(tag.update_time.into()),
            etag: tag.etag.to_string(),
        }
    }
}

impl From<TagsPage> for wire::ListTagsResponse {
    fn from(page: TagsPage) -> Self {
        Self { tags: page.tags.into_iter().map(Into::into).collect(), next_page_token: page.next_page_token }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::FieldMask;

    use super::*;

    const NAME: &str = "tags/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d";

    fn fields<T: std::fmt::Debug>(parsed: Result<T, Malformed>) -> Vec<String> {
        match parsed {
            Err(Malformed::Fields(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
            other => panic!("no violations: {other:?}"),
        }
    }

    fn update(tag: wire::Tag, mask: &[&str]) -> wire::UpdateTagRequest {
        let paths = mask.iter().map(|path| (*path).to_owned()).collect();
        wire::UpdateTagRequest { tag: Some(tag), update_mask: Some(FieldMask { paths }) }
    }

    #[test]
    fn all_violations_of_a_request_are_told_at_once() {
        let bad = wire::Tag { name: "notes/x".into(), color: 99, etag: "x".into(), ..wire::Tag::default() };
        let create = wire::CreateTagRequest { tag: Some(bad.clone()) };
        assert_eq!(fields(create_tag(&create)), ["tag.display_name", "tag.color"]);
        let expected = ["update_mask", "tag.name", "tag.etag", "tag.display_name", "tag.color"];
        assert_eq!(fields(update_tag(&update(bad, &["*", "owner"]))), expected);
        assert_eq!(fields(create_tag(&wire::CreateTagRequest::default())), ["tag"]);
        assert_eq!(fields(update_tag(&wire::UpdateTagRequest::default())), ["tag"]);
        assert_eq!(fields(get_tag(&wire::GetTagRequest::default())), ["name"]);
        assert_eq!(fields(list_tags(&wire::ListTagsRequest { page_size: -1, ..Default::default() })), ["page_size"]);
        let delete = wire::DeleteTagRequest { name: "x".into(), etag: "y".into(), force: true };
        assert_eq!(fields(delete_tag(&delete)), ["name", "etag"]);
    }

    #[test]
    fn an_update_changes_what_the_mask_names_or_else_what_is_set() {
        let tag = wire::Tag { name: NAME.into(), display_name: "work".into(), color: 0, ..wire::Tag::default() };
        let patch = |mask: &[&str]| update_tag(&update(tag.clone(), mask)).unwrap().patch;
        let name = TagName::parse("work").ok();
        assert_eq!(patch(&[]), TagPatch { display_name: name.clone(), color: None });
        assert_eq!(patch(&["color"]), TagPatch { display_name: None, color: Some(Color::default()) });
        assert_eq!(patch(&["*"]), TagPatch { display_name: name, color: Some(Color::default()) });
        assert_eq!(patch(&["note_count", "name", "etag"]), TagPatch::default(), "what cannot be changed is ignored");
    }

    #[test]
    fn a_note_has_at_most_fifty_tags_and_each_once() {
        let names = |count: u128| {
            (0..count).map(|number| format!("tags/{}", uuid::Uuid::from_u128(number))).collect::<Vec<_>>()
        };
        let read = |names: &[String]| {
            let mut violations = Violations::default();
            let tags = violations.tags("note.tags", names);
            violations.unless_any(tags).map(|tags| tags.len())
        };
        assert_eq!(read(&names(0)), Ok(0));
        assert_eq!(read(&names(50)), Ok(50));
        assert_eq!(fields(read(&names(51))), ["note.tags"]);
        let mut twice = names(3);
        twice.extend(["work".to_owned(), twice[1].clone(), NAME.to_uppercase()]);
        assert_eq!(fields(read(&twice)), ["note.tags[3]", "note.tags[4]", "note.tags[5]"]);
    }
}
