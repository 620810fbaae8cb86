use crate::Rule;

/// Who may call which method, by full path `/package.Service/Method`. Unknown paths are refused.
#[derive(Clone, Debug, Default)]
pub struct AccessPolicy(());

impl AccessPolicy {
    /// The policy of these rules.
    pub fn new(_rules: impl IntoIterator<Item = (&'static str, Rule)>) -> Self {
        todo!()
    }

    /// Adds every method of a service of someone else's (health, reflection) as public.
    #[must_use]
    pub fn with_public_service(self, _service: &'static str) -> Self {
        todo!()
    }

    /// The rule of a path.
    #[must_use]
    pub fn rule(&self, _path: &str) -> Option<Rule> {
        todo!()
    }
}
