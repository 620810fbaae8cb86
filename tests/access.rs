//! Who may call what: every RPC of the contracts, asked by every kind of caller. The matrix is `access.expected`, a text
//! for people; a new RPC without a line there fails here.

use std::fmt::Write as _;
use std::time::Duration;

use authn::Rule;

use crate::harness::descriptors::rpcs;
use crate::harness::raw;
use crate::harness::stack::Stack;

#[tokio::test]
async fn every_rpc_answers_every_kind_of_caller_as_the_matrix_says() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let good = stack.claims_of(&alice);

    let mut matrix = String::new();
    for rpc in rpcs() {
        let address = if rpc.is_of_notes() { stack.notes.address() } else { stack.auth.address() };
        let scope = match rpc.rule {
            Rule::Public => "",
            Rule::Scope(scope) => scope,
        };
        let others: Vec<_> = good.scope.split(' ').filter(|held| *held != scope).collect();
        let earlier = |claims: &authn::claims::Claims| claims.iat - Duration::from_secs(3_600).as_secs();
        let callers = [
            ("nobody", None),
            ("a good token", Some(stack.issuer.sign(&good))),
            ("rubbish", Some("rubbish".to_owned())),
            ("another key", Some(stack.issuer.with_another_key().sign(&good))),
            ("expired", {
                let mut claims = good.clone();
                (claims.iat, claims.nbf, claims.exp) = (earlier(&good), None, earlier(&good) + 300);
                Some(stack.issuer.sign(&claims))
            }),
            ("another issuer", {
                let mut claims = good.clone();
                claims.iss = "https://elsewhere.example".to_owned();
                Some(stack.issuer.sign(&claims))
            }),
            ("another audience", {
                let mut claims = good.clone();
                claims.aud = vec!["elsewhere".to_owned()];
                Some(stack.issuer.sign(&claims))
            }),
            ("every scope but the one", {
                let mut claims = good.clone();
                claims.scope = others.join(" ");
                Some(stack.issuer.sign(&claims))
            }),
            ("a refresh token", Some(alice.tokens.refresh_token.clone())),
        ];
        writeln!(matrix, "{}  {}", rpc.path, if scope.is_empty() { "public" } else { scope }).expect("a string");
        for (caller, token) in callers {
            let answer = raw::grpc(address, &rpc.path, token.as_deref(), &[]).await;
            writeln!(matrix, "    {caller:<24} {}", answer.outcome()).expect("a string");
        }
    }

    let expected = include_str!("access.expected");
    assert!(matrix == expected, "the matrix has changed; if that is meant, this is access.expected now:\n{matrix}");
}

#[tokio::test]
async fn the_other_service_does_not_serve_the_method() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for rpc in rpcs() {
        let address = if rpc.is_of_notes() { stack.auth.address() } else { stack.notes.address() };
        let answer = raw::grpc(address, &rpc.path, Some(&alice.tokens.access_token), &[]).await;
        assert_eq!(answer.outcome(), "UNIMPLEMENTED METHOD_UNKNOWN", "{}", rpc.path);
    }
}

#[tokio::test]
async fn an_unknown_path_is_refused_before_anything_else() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    for path in [
        "/notes.v1.NotesService/Nothing",
        "/notes.v1.NotesService/getnote",
        "/notes.v1.NotesService/GetNote/",
        "//notes.v1.NotesService/GetNote",
        "/notes.v1.notesservice/GetNote",
        "/NotesService/GetNote",
        "/",
    ] {
        for token in [None, Some(alice.tokens.access_token.as_str())] {
            let answer = raw::grpc(stack.notes.address(), path, token, &[]).await;
            assert_eq!(answer.outcome(), "UNIMPLEMENTED METHOD_UNKNOWN", "{path}");
        }
    }
}

#[tokio::test]
async fn public_methods_do_not_look_at_a_stale_token() {
    let stack = Stack::start().await;
    for rpc in rpcs().into_iter().filter(|rpc| rpc.rule == Rule::Public) {
        let without = raw::grpc(stack.auth.address(), &rpc.path, None, &[]).await;
        let with = raw::grpc(stack.auth.address(), &rpc.path, Some("stale"), &[]).await;
        assert_eq!(without.outcome(), with.outcome(), "{}", rpc.path);
    }
}
