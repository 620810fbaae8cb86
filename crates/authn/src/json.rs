//! JSON objects read strictly: every member name once, nesting bounded, a value of the wrong type refused.
//!
//! serde's own derive would let three things through: an unknown member that comes twice, `null` for an optional
//! member, and any depth that its parser allows.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// How deep objects and arrays may nest, the outermost object being 1.
const MAX_DEPTH: u8 = 16;

/// The members that an object is read for.
pub(crate) trait Members: Default {
    /// Reads the value of the member `name`, or says `false` and leaves it: then it is skipped.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// A JSON object, read strictly into `M`. Names are compared after their escapes are resolved.
pub(crate) struct Object<M>(pub(crate) M);

impl<'de, M: Members> Deserialize<'de> for Object<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<M>(PhantomData<M>);

impl<'de, M: Members> Visitor<'de> for ObjectVisitor<M> {
    type Value = M;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let mut members = M::default();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom("a member comes twice"));
            }
            if !members.read(&name, &mut map)? {
                skip(&mut map)?;
            }
            seen.insert(name);
        }
        Ok(members)
    }
}

/// Skips the value of a member, whatever it is, within the bounds.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value_seed(Skipped { depth: MAX_DEPTH - 1 })
}

/// A value that nobody reads. `depth` levels may follow.
#[derive(Clone, Copy)]
struct Skipped {
    depth: u8,
}

impl Skipped {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Skipped {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skipped {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while sequence.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a member comes twice"));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct OnlyExp(Option<u64>);

    impl Members for OnlyExp {
        fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
            if name == "exp" {
                self.0 = Some(map.next_value()?);
            }
            Ok(name == "exp")
        }
    }

    fn read(json: &str) -> Option<OnlyExp> {
        serde_json::from_str::<Object<OnlyExp>>(json).ok().map(|object| object.0)
    }

    #[test]
    fn an_object_is_read_and_what_is_unknown_is_skipped() {
        assert_eq!(read(r#"{"exp":7,"a":[1,-1,1.5,null,true,"x",{"b":{}}]}"#), Some(OnlyExp(Some(7))));
        assert_eq!(read("{}"), Some(OnlyExp(None)));
        assert_eq!(read(r#"{"\u0065xp":7}"#), Some(OnlyExp(Some(7))));
    }

    #[test]
    fn what_is_no_strict_object_is_refused() {
        for json in [
            "",
            "7",
            "[]",
            "null",
            r#"{"exp":7} {}"#,
            r#"{"exp":7,"exp":8}"#,
            r#"{"exp":7,"\u0065xp":7}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"exp":"7"}"#,
            r#"{"exp":null}"#,
            r#"{"exp":7.0}"#,
            r#"{"exp":-7}"#,
            r#"{"exp":[7]}"#,
            r#"{"exp":18446744073709551616}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(usize::from(MAX_DEPTH) - 1)).is_some());
        assert_eq!(read(&nested(usize::from(MAX_DEPTH))), None);
        assert_eq!(read(&nested(30_000)), None);
    }
}
