//! Scopes (RFC 6749, section 3.3), and the permission groups that grant them.
//!
//! ```
//! use groundwork_auth::{Groups, Scopes};
//!
//! let groups = Groups::new([("reader", &["notes:read"][..]), ("writer", &["notes:read", "notes:write"])]);
//! let asked = Scopes::parse("notes:write notes:delete");
//! assert_eq!(groups.scopes("writer").intersection(&asked).to_string(), "notes:write");
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// A scope as a type, so that a handler can require it in its signature.
pub trait Scope: 'static {
    /// Its name in tokens: `users:read`.
    const NAME: &'static str;
    /// What it allows, for the documentation.
    const DESCRIPTION: &'static str;
}

/// A set of scopes. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Arc<BTreeSet<String>>);

impl Scopes {
    /// Reads names separated by spaces.
    pub fn parse(text: &str) -> Self {
        text.split_whitespace().collect()
    }

    /// Returns whether the scope is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The scopes that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(Arc::new(self.0.intersection(&other.0).cloned().collect()))
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().map(str::to_owned).collect()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{name}")?;
        }
        Ok(())
    }
}

/// The permission groups of a service: named sets of scopes. An account has the name of its group.
#[derive(Clone, Debug, Default)]
pub struct Groups(Arc<BTreeMap<&'static str, Scopes>>);

impl Groups {
    /// The groups, each with the scopes of its members.
    pub fn new<'a>(groups: impl IntoIterator<Item = (&'static str, &'a [&'a str])>) -> Self {
        let groups = groups.into_iter().map(|(name, scopes)| (name, scopes.iter().copied().collect()));
        Self(Arc::new(groups.collect()))
    }

    /// The same groups with `scopes` added to each.
    #[must_use]
    pub fn granting<'a>(&self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let scopes: Scopes = scopes.into_iter().collect();
        let mut groups = (*self.0).clone();
        for group in groups.values_mut() {
            Arc::make_mut(&mut group.0).extend(scopes.0.iter().cloned());
        }
        Self(Arc::new(groups))
    }

    /// Returns whether some group has the scope.
    pub fn knows(&self, scope: &str) -> bool {
        self.0.values().any(|scopes| scopes.contains(scope))
    }

    /// The scopes of that group; none for an unknown group.
    pub fn scopes(&self, name: &str) -> Scopes {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_written_as_they_are_read() {
        let scopes = Scopes::parse("  users:read  a users:read ");
        assert_eq!(scopes.to_string(), "a users:read");
        assert_eq!(scopes.intersection(&Scopes::parse("a b")).to_string(), "a");
    }

    #[test]
    fn groups_have_what_they_were_given() {
        let groups = Groups::new([("regular", &["a"][..]), ("admin", &["a", "b"])]).granting(["c"]);
        assert_eq!(groups.scopes("regular").to_string(), "a c");
        assert_eq!(groups.scopes("admin").to_string(), "a b c");
        assert!(groups.scopes("nobody").is_empty());
        assert!(groups.knows("b") && groups.knows("c") && !groups.knows("d"));
    }
}
