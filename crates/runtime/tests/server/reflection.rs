//! Reflection: off unless asked for, and then of what is served here alone, with its comments and options.

use std::collections::BTreeMap;

use futures_util::stream;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::transport::{Channel, Endpoint};
use tonic_reflection::pb::{v1, v1alpha};

use crate::toy::{SERVICE, Toy, within};
use crate::wire::outcome;

const ON: (&str, &str) = ("REFLECTION", "true");

async fn channel(toy: &Toy) -> Channel {
    let endpoint = Endpoint::new(format!("http://{}", toy.address)).expect("an address");
    endpoint.connect().await.expect("the toy listens")
}

/// What is answered to one question.
async fn ask(
    toy: &Toy,
    question: v1::server_reflection_request::MessageRequest,
) -> Result<v1::server_reflection_response::MessageResponse, tonic::Status> {
    let request = v1::ServerReflectionRequest { message_request: Some(question), ..Default::default() };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(toy).await);
    let mut answers = client.server_reflection_info(stream::iter([request])).await?.into_inner();
    let answer = within(answers.message()).await?.expect("an answer");
    Ok(answer.message_response.expect("an answer"))
}

/// The files that are answered, each as it was encoded.
async fn files(toy: &Toy, question: v1::server_reflection_request::MessageRequest) -> Vec<Vec<u8>> {
    match ask(toy, question).await.expect("reflection is on") {
        v1::server_reflection_response::MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_is_off_unless_asked_for() {
    let toy = Toy::start(&[]).await;
    let question = || v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let refused = ask(&toy, question()).await.expect_err("off");
    assert_eq!(outcome(&refused), "Unimplemented METHOD_UNKNOWN");
    ask(&Toy::start(&[ON]).await, question()).await.expect("on");
}

#[tokio::test]
async fn both_versions_list_what_is_served_and_nothing_else() {
    let toy = Toy::start(&[ON]).await;
    let question = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) =
        ask(&toy, question).await.expect("on")
    else {
        panic!("no list")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, ["grpc.health.v1.Health", SERVICE]);

    let question = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { message_request: Some(question), ..Default::default() };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&toy).await);
    let answers = client.server_reflection_info(stream::iter([request])).await.expect("on");
    let answer = within(answers.into_inner().message()).await.expect("on").expect("an answer");
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answer.message_response
    else {
        panic!("no list")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(names, ["grpc.health.v1.Health", SERVICE]);
}

#[tokio::test]
async fn a_client_can_build_the_contract_with_its_access_rules_from_reflection_alone() {
    use v1::server_reflection_request::MessageRequest::{FileByFilename, FileContainingSymbol};
    let toy = Toy::start(&[ON]).await;
    let mut known = BTreeMap::new();
    let mut wanted = vec![FileContainingSymbol(SERVICE.to_owned())];
    while let Some(question) = wanted.pop() {
        for bytes in files(&toy, question).await {
            let file = prost_types::FileDescriptorProto::decode(bytes.as_slice()).expect("a file");
            if known.insert(file.name().to_owned(), bytes).is_none() {
                wanted.extend(file.dependency.into_iter().map(FileByFilename));
            }
        }
    }
    // A FileDescriptorSet is its files, each as field 1. The pool takes the bytes, with the options that prost drops.
    let mut set = Vec::new();
    for bytes in known.values() {
        set.push(0x0a);
        prost::encoding::encode_varint(bytes.len() as u64, &mut set);
        set.extend_from_slice(bytes);
    }
    let pool = DescriptorPool::decode(set.as_slice()).expect("a whole contract");
    let rule = pool.get_extension_by_name("access.v1.rule").expect("the option of access rules");
    let service = pool.get_service_by_name(SERVICE).expect("the service");
    let read = service.methods().find(|method| method.name() == "GetNote").expect("the method");
    assert!(read.options().has_extension(&rule));
    assert!(read.options().get_extension(&rule).to_string().contains("notes.read"));
    let location = service.path().to_vec();
    let source = service.parent_file().file_descriptor_proto().source_code_info.clone().expect("comments");
    let comment = source.location.iter().find(|found| found.path == location).expect("the service has a place");
    assert!(comment.leading_comments().contains("The notes of one owner"));
}
