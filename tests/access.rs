//! Who may call what: every RPC of the contracts, asked by every kind of caller. The matrix is `access.expected`, a text
//! for people; a new RPC without a line there fails here.

use std::fmt::Write as _;
use std::time::Duration;

use authn::Rule;

use crate::harness::descriptors::rpcs;
use crate::harness::raw;
use crate::harness::stack::{INTERNAL_CREDENTIAL, Stack};

#[tokio::test]
async fn every_rpc_answers_every_kind_of_caller_as_the_matrix_says() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;

    let mut matrix = String::new();
    for rpc in rpcs() {
        // Each has a session of its own, because some methods end one.
        let alice = stack.log_in(&alice).await;
        let good = stack.claims_of(&alice);
        let address = stack.address_of(&rpc);
        let (scope, rule) = match rpc.rule {
            Rule::Public => ("", "public".to_owned()),
            Rule::Scope(scope) => (scope, scope.to_owned()),
            Rule::Service(audience) => ("", format!("a service, for {audience}")),
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
        writeln!(matrix, "{}  {rule}", rpc.path).expect("a string");
        let service = matches!(rpc.rule, Rule::Service(_));
        let services = service.then(|| ("a service's credential", Some(INTERNAL_CREDENTIAL.to_owned())));
        for (caller, token) in callers.into_iter().chain(services) {
            let outcome = if rpc.method.is_server_streaming() {
                raw::grpc_stream(address, &rpc.path, token.as_deref(), &[]).await
            } else {
                raw::grpc(address, &rpc.path, token.as_deref(), &[]).await.outcome()
            };
            writeln!(matrix, "    {caller:<24} {outcome}").expect("a string");
        }
    }

    let expected = include_str!("access.expected");
    assert!(matrix == expected, "the matrix has changed; if that is meant, this is access.expected now:\n{matrix}");
}

#[tokio::test]
async fn no_other_listener_serves_the_method() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let listeners = [stack.auth.address(), stack.notes.address(), stack.auth.listener("auth-internal")];
    for rpc in rpcs() {
        let own = stack.address_of(&rpc);
        for address in listeners.into_iter().filter(|address| *address != own) {
            for token in [None, Some(alice.tokens.access_token.as_str()), Some(INTERNAL_CREDENTIAL)] {
                let answer = raw::grpc(address, &rpc.path, token, &[]).await;
                assert_eq!(answer.outcome(), "UNIMPLEMENTED METHOD_UNKNOWN", "{}", rpc.path);
            }
        }
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
