//! Access tokens broken in every way, at a running service: each is refused with its reason, nothing is told, and the
//! process and the connection live on.

use std::time::Duration;

use authn::claims::Claims;
use http::{HeaderValue, Version};
use prost::Message as _;
use proto::notes::v1::ListNotesRequest;

use crate::harness::raw::{self, Answer};
use crate::harness::stack::Stack;

const LIST: &str = "/notes.v1.NotesService/ListNotes";

async fn list(stack: &Stack, token: &str) -> Answer {
    raw::grpc(stack.notes.address(), LIST, Some(token), &ListNotesRequest::default().encode_to_vec()).await
}

/// Lists with these `authorization` values instead of one good one.
async fn list_with(stack: &Stack, values: &[&str]) -> Answer {
    let mut request = raw::grpc_request(stack.notes.address(), LIST, None, &[]);
    for value in values {
        request.headers_mut().append("authorization", HeaderValue::from_str(value).expect("a header"));
    }
    raw::send(stack.notes.address(), Version::HTTP_2, request).await
}

#[tokio::test]
async fn every_broken_token_is_refused_with_the_same_words() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let claims = stack.claims_of(&alice);
    let json = serde_json::to_value(&claims).expect("claims are JSON");
    let with = |member: &str, value: serde_json::Value| {
        let mut changed = json.clone();
        changed[member] = value;
        changed.to_string()
    };
    let without = |member: &str| {
        let mut changed = json.clone();
        changed.as_object_mut().expect("an object").remove(member);
        changed.to_string()
    };
    let kid = stack.issuer.key_id();
    let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}"}}"#);
    let raw_claims = json.to_string();
    assert_eq!(list(&stack, &stack.issuer.sign_json(&header, &raw_claims)).await.outcome(), "OK", "the twin");

    let headers = [
        format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"rs256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS512","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#),
        r#"{"alg":"RS256","typ":"at+jwt"}"#.to_owned(),
        r#"{"alg":"RS256","typ":"at+jwt","kid":"../../etc/passwd"}"#.to_owned(),
        r#"{"alg":"RS256","typ":"at+jwt","kid":"unknown"}"#.to_owned(),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","crit":["exp"]}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","b64":false}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","zip":"DEF"}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}","\u006bid":"{kid}"}}"#),
        "[]".to_owned(),
        "not json".to_owned(),
    ];
    let bodies = [
        with("iss", "https://elsewhere.example".into()),
        with("iss", serde_json::json!([claims.iss])),
        without("iss"),
        with("aud", "elsewhere".into()),
        with("aud", serde_json::json!([])),
        without("aud"),
        with("sub", "alice".into()),
        without("sub"),
        with("exp", claims.exp.to_string().into()),
        without("exp"),
        with("exp", (claims.iat + 86_400).into()),
        with("exp", serde_json::json!(1e300)),
        with("nbf", (claims.iat + 60).into()),
        with("nbf", "0".into()),
        with("iat", (claims.iat + 60).into()),
        without("iat"),
        with("scope", serde_json::json!(["notes.read"])),
        raw_claims.replacen('{', r#"{"sub":"00000000-0000-4000-8000-000000000000","#, 1),
        raw_claims.replacen('{', r#"{"s\u0075b":"00000000-0000-4000-8000-000000000000","#, 1),
        "{}".to_owned(),
        "not json".to_owned(),
    ];
    let good = alice.tokens.access_token.as_str();
    let parts: Vec<_> = good.split('.').collect();
    let shapes = [
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        parts[..2].join("."),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{good}="),
        format!("{}.{}.{}", parts[0], parts[1], parts[2].replace('_', "/").replace('-', "+")).replacen("..", ".", 1)
            + "/",
        format!("{}A.{}.{}", parts[0], parts[1], parts[2]),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "x".repeat(4_097),
        format!("{{\"payload\":\"{}\"}}", parts[1]),
    ];
    let mut fingerprints = std::collections::BTreeSet::new();
    let signed = headers.iter().map(|header| stack.issuer.sign_json(header, &raw_claims));
    let signed = signed.chain(bodies.iter().map(|body| stack.issuer.sign_json(&header, body)));
    for token in signed.chain(shapes) {
        let answer = list(&stack, &token).await;
        assert_eq!(answer.outcome(), "UNAUTHENTICATED TOKEN_INVALID", "{token}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        fingerprints.insert(answer.fingerprint());
    }
    assert_eq!(fingerprints.len(), 1, "all refusals look the same: {fingerprints:#?}");
    assert_eq!(list(&stack, good).await.outcome(), "OK", "the good token still works");
}

#[tokio::test]
async fn one_authorization_value_of_the_bearer_scheme_and_no_other_place() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let token = alice.tokens.access_token.as_str();
    let (bearer, other) = (format!("Bearer {token}"), "Bearer x".to_owned());

    for allowed in [bearer.clone(), format!("bearer {token}"), format!("BEARER {token}")] {
        assert_eq!(list_with(&stack, &[&allowed]).await.outcome(), "OK", "{allowed}");
    }
    for (values, expected) in [
        (vec![], "UNAUTHENTICATED TOKEN_MISSING"),
        (vec![bearer.as_str(), other.as_str()], "UNAUTHENTICATED TOKEN_INVALID"),
        (vec![bearer.as_str(), bearer.as_str()], "UNAUTHENTICATED TOKEN_INVALID"),
        (vec![token], "UNAUTHENTICATED TOKEN_INVALID"),
        (vec!["Basic YWxpY2U6cGFzc3dvcmQ="], "UNAUTHENTICATED TOKEN_INVALID"),
        (vec!["Bearer"], "UNAUTHENTICATED TOKEN_INVALID"),
        (vec![""], "UNAUTHENTICATED TOKEN_INVALID"),
    ] {
        assert_eq!(list_with(&stack, &values).await.outcome(), expected, "{values:?}");
    }
    for (name, value) in [("cookie", format!("authorization={bearer}")), ("authorization-bin", bearer.clone())] {
        let mut request = raw::grpc_request(stack.notes.address(), LIST, None, &[]);
        request.headers_mut().insert(name, HeaderValue::from_str(&value).expect("a header"));
        let answer = raw::send(stack.notes.address(), Version::HTTP_2, request).await;
        assert_eq!(answer.outcome(), "UNAUTHENTICATED TOKEN_MISSING", "{name}");
    }
}

#[tokio::test]
async fn tokens_expire_and_begin_to_the_second() {
    let stack = Stack::start().await;
    let alice = stack.register("alice").await;
    let claims = stack.claims_of(&alice);
    let now = claims.iat;
    let at = |change: fn(&mut Claims, u64)| {
        let mut changed = claims.clone();
        change(&mut changed, now);
        stack.issuer.sign(&changed)
    };
    for (token, expected) in [
        (at(|claims, now| (claims.iat, claims.nbf, claims.exp) = (now - 300, None, now - 4)), "OK"),
        (
            at(|claims, now| (claims.iat, claims.nbf, claims.exp) = (now - 300, None, now - 5)),
            "UNAUTHENTICATED TOKEN_EXPIRED",
        ),
        (at(|claims, now| claims.nbf = Some(now + 5)), "OK"),
        (at(|claims, now| claims.nbf = Some(now + 6)), "UNAUTHENTICATED TOKEN_INVALID"),
        (at(|claims, now| (claims.iat, claims.exp) = (now + 5, now + 60)), "OK"),
        (at(|claims, now| (claims.iat, claims.exp) = (now + 6, now + 60)), "UNAUTHENTICATED TOKEN_INVALID"),
        (at(|claims, now| claims.exp = now + 600), "OK"),
        (at(|claims, now| claims.exp = now + 601), "UNAUTHENTICATED TOKEN_INVALID"),
    ] {
        assert_eq!(list(&stack, &token).await.outcome(), expected);
    }
    stack.clock.advance(Duration::from_secs(305));
    assert_eq!(list(&stack, &alice.tokens.access_token).await.outcome(), "UNAUTHENTICATED TOKEN_EXPIRED");
}
