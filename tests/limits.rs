//! What each field takes at its limit and what it refuses one past it, on every method that has the field. Methods and fields
//! come from the contract: a new field is refused by this test until it is said here what it takes.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use proto::notes::v1::{ListNotesRequest, ListTagsRequest, Note, NoteView, Tag, UpdateNoteRequest};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::actor::Person;
use crate::harness::descriptors::{Rpc, rpcs};
use crate::harness::raw;
use crate::harness::stack::Stack;

const FIELD: &str = "INVALID_ARGUMENT FIELD_INVALID";
const PAGE_TOKEN: &str = "INVALID_ARGUMENT PAGE_TOKEN_INVALID";

/// Names that are none of notes, of tags or of revisions, whatever is asked for.
const NO_NAMES: [&str; 7] =
    ["", "x", "notes/", "tags/1", "notes/x\0", "users/0193a5c8-7f3e-7b1a-9c2d-3e4f5a6b7c8d", "/"];

/// What the service sets; whatever is sent is ignored.
const OUTPUT_ONLY: [&str; 7] =
    ["create_time", "update_time", "delete_time", "purge_time", "snippet", "content_bytes", "note_count"];

/// Both of their values mean something.
const FLAGS: [&str; 6] = ["pinned", "archived", "allow_missing", "show_deleted", "force", "validate_only"];

/// What a field takes.
enum Takes {
    /// Whatever it is sent: all values mean something, or it is the service that sets it.
    Anything,
    /// Messages, whose own fields are looked at.
    Fields,
    /// The values up to its limit and not those past it, which are answered so.
    Bounded { within: Vec<Value>, beyond: Vec<Value>, refusal: &'static str },
}

/// What is there to be named.
struct World {
    person: Person,
    live: Note,
    trashed: Note,
    tags: Vec<Tag>,
}

impl World {
    /// Somebody new, so that what a call before removed is there again.
    async fn of(stack: &Stack, rpc: &Rpc) -> Self {
        let person = stack.register(rpc.method.name()).await;
        let mut tags = Vec::new();
        for number in 0..51 {
            tags.push(person.tag(&format!("tag {number}")).await.expect("made"));
        }
        let first = person.write("title", "first").await;
        let content = Note { name: first.name, content: "second".into(), ..Note::default() };
        let overwrite = UpdateNoteRequest { note: Some(content), ..Default::default() };
        let live = person.update(overwrite).await.expect("overwritten, so that it has a revision");
        let trashed = person.write("thrown away", "").await;
        let delete = proto::notes::v1::DeleteNoteRequest { name: trashed.name.clone(), ..Default::default() };
        let trashed = person.delete(delete).await.expect("in the trash");
        Self { person, live, trashed, tags }
    }

    /// All that is stored.
    async fn contents(&self) -> (Vec<Note>, Vec<Tag>) {
        let all = ListNotesRequest { show_deleted: true, view: NoteView::Full.into(), ..Default::default() };
        let tags = self.person.list_tags(ListTagsRequest { page_size: 1_000, ..Default::default() }).await;
        (self.person.list_all(all).await, tags.expect("listed").tags)
    }

    async fn ask(&self, stack: &Stack, rpc: &Rpc, request: &DynamicMessage) -> Answer {
        let (address, token) = (stack.address_of(rpc), Some(self.person.tokens.access_token.as_str()));
        if rpc.method.is_server_streaming() {
            let outcome = raw::grpc_stream(address, &rpc.path, token, &request.encode_to_vec()).await;
            return Answer { outcome, fields: None };
        }
        let answer = raw::grpc(address, &rpc.path, token, &request.encode_to_vec()).await;
        let details = answer.grpc().get_details_bad_request();
        let fields = details.map(|details| details.field_violations.into_iter().map(|found| found.field).collect());
        Answer { outcome: answer.outcome(), fields }
    }

    /// A request in which nothing is wrong.
    fn request(&self, rpc: &Rpc) -> DynamicMessage {
        self.filled(rpc, &rpc.method.input())
    }

    fn filled(&self, rpc: &Rpc, message: &MessageDescriptor) -> DynamicMessage {
        let mut request = DynamicMessage::new(message.clone());
        let method = rpc.method.name();
        for field in message.fields() {
            let text = |text: &str| Value::String(text.to_owned());
            let value = match (message.name(), field.name()) {
                ("Tag", "name") => text(&self.tags[0].name),
                ("Tag", "display_name") => text(&format!("new {}", Uuid::new_v4())),
                ("Note", "title") => text("a title"),
                ("Note", "content") => text("a content"),
                (_, "name") if method == "GetNoteRevision" => text(&format!("{}/revisions/1", self.live.name)),
                (_, "name") if method == "UndeleteNote" => text(&self.trashed.name),
                (_, "name") if rpc.path.contains("TagService") => text(&self.tags[0].name),
                (_, "name" | "parent") => text(&self.live.name),
                (_, "names") => Value::List(vec![text(&self.live.name)]),
                (_, "revision_id") => text("1"),
                (_, "query") => text("word"),
                (_, "note" | "tag") => Value::Message(self.filled(rpc, &message_of(&field).expect("a message"))),
                (_, "requests") => {
                    Value::List(vec![Value::Message(self.filled(rpc, &message_of(&field).expect("a message")))])
                }
                _ => continue,
            };
            request.set_field(&field, value);
        }
        request
    }

    /// What `field` of `message` takes in a call of `rpc`.
    fn takes(&self, rpc: &Rpc, message: &MessageDescriptor, field: &FieldDescriptor) -> Takes {
        let method = rpc.method.name();
        let creates = ["CreateNote", "BatchCreateNotes", "CreateTag"].contains(&method);
        let texts = |all: &[&str]| all.iter().map(|text| Value::String((*text).to_owned())).collect::<Vec<_>>();
        let of = |within, beyond| Takes::Bounded { within, beyond, refusal: FIELD };
        let (a_uuid, much) = (Uuid::new_v4().to_string(), "A".repeat(100_000));
        match (message.name(), field.name()) {
            ("Note" | "Tag", field) if OUTPUT_ONLY.contains(&field) => Takes::Anything,
            ("Note" | "Tag", "name" | "etag") if creates => Takes::Anything,
            (_, field) if FLAGS.contains(&field) => Takes::Anything,
            ("NoteFilter", "tag") => of(texts(&["", &self.tags[0].name]), texts(&[&NO_NAMES[1..], &[&much]].concat())),
            (_, "note" | "tag" | "filter" | "create_time_range" | "update_time_range") => Takes::Fields,
            (_, "start_time" | "end_time") => {
                let time = |seconds: i64, nanos: i32| {
                    let mut time = DynamicMessage::new(message_of(field).expect("a time is a message"));
                    time.set_field_by_name("seconds", Value::I64(seconds));
                    time.set_field_by_name("nanos", Value::I32(nanos));
                    Value::Message(time)
                };
                let (first, last) = (-62_135_596_800, 253_402_300_799);
                of(
                    vec![time(first, 0), time(last, 999_999_999), time(0, 1)],
                    vec![time(first - 1, 0), time(last + 1, 0), time(0, -1), time(0, 1_000_000_000), time(i64::MIN, 0)],
                )
            }

            ("Note", "title") => of(
                texts(&["", &"é".repeat(300), &"e\u{301}".repeat(300), &"🦀".repeat(300)]),
                texts(&[&"é".repeat(301), "a\0b", "bell \u{7}", &much]),
            ),
            ("Note", "content") => of(
                texts(&["", &"x".repeat(262_144), &"🦀".repeat(262_144), "a\n\tb"]),
                texts(&[&"x".repeat(262_145), &"é".repeat(262_145), "a\0b"]),
            ),
            ("Note", "tags") => {
                let names: Vec<_> = self.tags.iter().map(|tag| tag.name.as_str()).collect();
                let list = |names: &[&str]| Value::List(texts(names));
                let unknown = format!("tags/{}", Uuid::new_v4());
                of(
                    vec![list(&[]), list(&names[..50])],
                    vec![list(&names), list(&[names[0], names[0]]), list(&[&unknown]), list(&["work"]), list(&[""])],
                )
            }
            ("Tag", "display_name") => of(
                texts(&[&"é".repeat(63), &"e\u{301}".repeat(63)]),
                texts(&[&"é".repeat(64), " ", "a ", "a\nb", "\0", &much]),
            ),
            (_, "color" | "view" | "order") => {
                let Kind::Enum(values) = field.kind() else { panic!("{} is no enum", field.full_name()) };
                let known = values.values().map(|value| Value::EnumNumber(value.number())).collect();
                of(known, [-1, 99, i32::MAX, i32::MIN].map(Value::EnumNumber).to_vec())
            }
            (_, "name" | "parent") => {
                let upper = format!("notes/{}", a_uuid.replace(|c: char| c.is_ascii_digit(), "A"));
                of(vec![], texts(&[&NO_NAMES[..], &[&upper, &much, &format!("{} ", self.live.name)]].concat()))
            }
            (_, "names") => {
                let hundred: Vec<_> = (0..101).map(|_| format!("notes/{}", Uuid::new_v4())).collect();
                let list = |names: &[String]| Value::List(names.iter().cloned().map(Value::String).collect());
                let mut beyond: Vec<_> = NO_NAMES.iter().map(|name| list(&[(*name).to_owned()])).collect();
                beyond.extend([list(&[]), list(&hundred), list(&[hundred[0].clone(), hundred[0].clone()])]);
                of(vec![list(&hundred[..100])], beyond)
            }
            (_, "requests") => {
                let entry = || Value::Message(self.filled(rpc, &message_of(field).expect("requests are messages")));
                let list = |count: usize| Value::List((0..count).map(|_| entry()).collect());
                // A hundred entries that name the same note are one too many, but for creations.
                let within = if creates { vec![list(1), list(100)] } else { vec![list(1)] };
                of(within, vec![list(0), list(101)])
            }
            (_, "note_id" | "request_id") => {
                let upper = a_uuid.replace(|c: char| c.is_ascii_digit(), "A");
                of(
                    texts(&["", &a_uuid]),
                    texts(&["x", &upper, &format!("{{{a_uuid}}}"), &a_uuid.replace('-', ""), &much]),
                )
            }
            (_, "revision_id") => {
                of(vec![], texts(&["", "0", "-1", "01", "1.5", "latest", "9223372036854775808", "\0", &much]))
            }
            (_, "etag") => of(texts(&[""]), texts(&["x", "W/\"1\"", "\0", &much])),
            (_, "update_mask") => {
                let mask = |path: &str| {
                    let Kind::Message(message) = field.kind() else { panic!("a mask is a message") };
                    let mut mask = DynamicMessage::new(message);
                    mask.set_field_by_name("paths", Value::List(texts(&[path])));
                    Value::Message(mask)
                };
                of(
                    vec![mask("*"), mask("color")],
                    vec![mask("owner"), mask(""), mask("*.*"), mask("Color"), mask(&much)],
                )
            }
            (_, "page_size") => {
                of([0, 1, 1_000, i32::MAX].map(Value::I32).to_vec(), [-1, i32::MIN].map(Value::I32).to_vec())
            }
            (_, "page_token" | "sync_token") => Takes::Bounded {
                within: texts(&[""]),
                beyond: texts(&["x", "🦀", &"A".repeat(1_024), &"A".repeat(1_025), &much]),
                refusal: PAGE_TOKEN,
            },
            (_, "order_by") => Takes::Bounded {
                within: texts(&[
                    "",
                    "create_time",
                    "create_time desc",
                    "update_time",
                    "update_time desc",
                    "title",
                    "title desc",
                ]),
                beyond: texts(&["owner_id", "title asc", "title,create_time", "TITLE", &much]),
                refusal: "INVALID_ARGUMENT ORDER_BY_INVALID",
            },
            (_, "query") => of(
                texts(&[&"a".repeat(512), &"a b ".repeat(128), "-a", "a\"(", "a:b", "title:", "AND OR NOT"]),
                texts(&["", "  ", "-", "(", "\"", "* \"\" -", &"a".repeat(513), &"word ".repeat(10_000)]),
            ),
            (message, field) => panic!("say what {message}.{field} takes"),
        }
    }
}

/// How a call was answered.
struct Answer {
    outcome: String,
    /// The fields that were found wrong; a stream's refusal is read without its details.
    fields: Option<Vec<String>>,
}

#[tokio::test]
async fn every_field_of_every_method_holds_its_limits() {
    let stack = Stack::start().await;
    let (mut fields, mut refusals) = (0, 0);
    for rpc in rpcs().into_iter().filter(|rpc| rpc.is_of_notes() && !rpc.is_internal()) {
        let world = World::of(&stack, &rpc).await;
        let before = world.contents().await;
        let mut within = Vec::new();
        for path in paths(&world, &rpc, &rpc.method.input(), &[]) {
            let (message, field) =
                (path.last().expect("a path").parent_message().clone(), path.last().expect("a path"));
            fields += 1;
            let Takes::Bounded { within: good, beyond, refusal } = world.takes(&rpc, &message, field) else { continue };
            within.extend(good.into_iter().map(|value| (path.clone(), value)));
            for value in beyond {
                let mut request = world.request(&rpc);
                put(&mut request, &path, value);
                let what = format!("{} {}", rpc.path, written(&path));
                let answer = world.ask(&stack, &rpc, &request).await;
                assert_eq!(answer.outcome, refusal, "{what}");
                if let (FIELD, Some(fields)) = (refusal, &answer.fields) {
                    let named = fields.iter().all(|field| field.starts_with(&written(&path)));
                    assert!(named && !fields.is_empty(), "{what}: {fields:?}");
                }
                refusals += 1;
            }
        }
        assert_eq!(world.contents().await, before, "{}: something refused was stored", rpc.path);

        for (path, value) in within {
            let mut request = world.request(&rpc);
            put(&mut request, &path, value);
            let outcome = world.ask(&stack, &rpc, &request).await.outcome;
            assert!(![FIELD, PAGE_TOKEN].contains(&outcome.as_str()), "{} {}: {outcome}", rpc.path, written(&path));
        }
    }
    assert!(fields > 80 && refusals > 200, "the contract was not read: {fields} fields, {refusals} refusals");
}

/// Every field of a request, by the way to it.
fn paths(world: &World, rpc: &Rpc, message: &MessageDescriptor, way: &[FieldDescriptor]) -> Vec<Vec<FieldDescriptor>> {
    let mut paths = Vec::new();
    for field in message.fields() {
        let way = [way, std::slice::from_ref(&field)].concat();
        let inside = match world.takes(rpc, message, &field) {
            Takes::Fields => message_of(&field),
            Takes::Bounded { .. } if field.name() == "requests" => message_of(&field),
            _ => None,
        };
        if let Some(inside) = inside {
            paths.extend(self::paths(world, rpc, &inside, &way));
        }
        paths.push(way);
    }
    paths
}

fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

/// Puts a value at the end of the way, into the first entry where there are many.
fn put(message: &mut DynamicMessage, way: &[FieldDescriptor], value: Value) {
    match way {
        [] => {}
        [last] => message.set_field(last, value),
        [next, rest @ ..] => match message.get_field_mut(next) {
            Value::Message(inner) => put(inner, rest, value),
            Value::List(entries) => {
                let Some(Value::Message(inner)) = entries.first_mut() else { panic!("an entry is a message") };
                put(inner, rest, value);
            }
            other => panic!("no way through {other:?}"),
        },
    }
}

/// The way as a violation names it.
fn written(way: &[FieldDescriptor]) -> String {
    let names: Vec<_> = way
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let is_last = place + 1 == way.len();
            if field.is_list() && !is_last { format!("{}[0]", field.name()) } else { field.name().to_owned() }
        })
        .collect();
    names.join(".")
}
