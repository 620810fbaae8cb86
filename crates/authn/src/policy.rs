use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::Rule;

/// Who may call which method, by full path `/package.Service/Method`. Unknown paths are refused.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AccessPolicy(Arc<Table>);

#[derive(Clone, Debug, Default)]
struct Table {
    methods: HashMap<&'static str, Rule>,
    public_services: HashSet<&'static str>,
}

impl AccessPolicy {
    /// The policy of these rules. Of two rules for one path the stricter holds: a scope before public, and of two
    /// scopes the first.
    pub fn new(rules: impl IntoIterator<Item = (&'static str, Rule)>) -> Self {
        let mut methods = HashMap::new();
        for (path, rule) in rules {
            let held = methods.entry(path).or_insert(rule);
            if *held == Rule::Public {
                *held = rule;
            }
        }
        Self(Arc::new(Table { methods, public_services: HashSet::new() }))
    }

    /// Adds every method of a service of someone else's (health, reflection) as public. A rule of its own that a
    /// method of it has still holds.
    #[must_use]
    pub fn with_public_service(mut self, service: &'static str) -> Self {
        Arc::make_mut(&mut self.0).public_services.insert(service);
        self
    }

    /// The rule of a path. The whole path decides, compared byte for byte: nothing is decoded or normalized.
    #[must_use]
    pub fn rule(&self, path: &str) -> Option<Rule> {
        self.0.methods.get(path).copied().or_else(|| self.is_of_public_service(path).then_some(Rule::Public))
    }

    fn is_of_public_service(&self, path: &str) -> bool {
        let split = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        split.is_some_and(|(service, method)| {
            !method.is_empty() && !method.contains('/') && self.0.public_services.contains(service)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Rule = Rule::Scope("notes.read");

    #[test]
    fn a_path_without_a_rule_has_none() {
        let policy =
            AccessPolicy::new([("/notes.v1.NotesService/GetNote", READ), ("/auth.v1.Auth/Login", Rule::Public)])
                .with_public_service("grpc.health.v1.Health");
        for (path, rule) in [
            ("/notes.v1.NotesService/GetNote", Some(READ)),
            ("/auth.v1.Auth/Login", Some(Rule::Public)),
            ("/grpc.health.v1.Health/Check", Some(Rule::Public)),
            ("/grpc.health.v1.Health/Anything", Some(Rule::Public)),
            ("", None),
            ("/", None),
            ("notes.v1.NotesService/GetNote", None),
            ("/notes.v1.NotesService/getnote", None),
            ("/notes.v1.NotesService/GetNote/", None),
            ("/notes.v1.NotesService//GetNote", None),
            ("//notes.v1.NotesService/GetNote", None),
            ("/notes.v1.NotesService/Get%4eote", None),
            ("/evil.v1.Auth/Login", None),
            ("/evil/auth.v1.Auth/Login", None),
            ("/grpc.health.v1.Health", None),
            ("/grpc.health.v1.Health/", None),
            ("/grpc.health.v1.Health/Check/More", None),
            ("/grpc.health.v1.HealthX/Check", None),
            ("grpc.health.v1.Health/Check", None),
        ] {
            assert_eq!(policy.rule(path), rule, "{path}");
        }
    }

    #[test]
    fn the_stricter_of_two_rules_holds() {
        for rules in [[("/a.A/A", READ), ("/a.A/A", Rule::Public)], [("/a.A/A", Rule::Public), ("/a.A/A", READ)]] {
            assert_eq!(AccessPolicy::new(rules).with_public_service("a.A").rule("/a.A/A"), Some(READ));
        }
    }
}
