//! What tasks and flows are called: name, description, tags.

use std::borrow::Cow;

/// The labels of a task or a flow.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) name: Cow<'static, str>,
    pub(crate) description: Cow<'static, str>,
    pub(crate) version: Option<Cow<'static, str>>,
    tags: Cow<'static, [&'static str]>,
    more_tags: Vec<String>,
}

impl Labels {
    pub(super) const fn new(
        name: &'static str,
        description: &'static str,
        version: Option<&'static str>,
        tags: &'static [&'static str],
    ) -> Self {
        Self {
            name: Cow::Borrowed(name),
            description: Cow::Borrowed(description),
            version: match version {
                Some(version) => Some(Cow::Borrowed(version)),
                None => None,
            },
            tags: Cow::Borrowed(tags),
            more_tags: Vec::new(),
        }
    }

    pub(super) fn add_tag(&mut self, tag: String) {
        self.more_tags.push(tag);
    }

    pub(super) fn set_tags(&mut self, tags: Vec<String>) {
        self.tags = Cow::Borrowed(&[]);
        self.more_tags = tags;
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags
            .iter()
            .copied()
            .chain(self.more_tags.iter().map(String::as_str))
    }
}

/// The methods of options that change and read the labels.
macro_rules! label_methods {
    () => {
        /// The name under which runs are listed; the key stays.
        #[must_use]
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.labels.name = ::std::borrow::Cow::Owned(name.into());
            self
        }

        /// What it does, for people.
        #[must_use]
        pub fn description(mut self, description: impl Into<String>) -> Self {
            self.labels.description = ::std::borrow::Cow::Owned(description.into());
            self
        }

        /// The version of its code, for people and reports. Default: none.
        #[must_use]
        pub fn version(mut self, version: impl Into<String>) -> Self {
            self.labels.version = Some(::std::borrow::Cow::Owned(version.into()));
            self
        }

        /// Adds a tag.
        #[must_use]
        pub fn tag(mut self, tag: impl Into<String>) -> Self {
            self.labels.add_tag(tag.into());
            self
        }

        /// Replaces all tags.
        #[must_use]
        pub fn tags<I>(mut self, tags: I) -> Self
        where
            I: IntoIterator,
            I::Item: Into<String>,
        {
            let tags = tags.into_iter().map(Into::into).collect();
            self.labels.set_tags(tags);
            self
        }

        /// The name in force.
        #[must_use]
        pub fn name_in_force(&self) -> &str {
            &self.labels.name
        }

        /// The description in force.
        #[must_use]
        pub fn description_in_force(&self) -> &str {
            &self.labels.description
        }

        /// The version in force.
        #[must_use]
        pub fn version_in_force(&self) -> Option<&str> {
            self.labels.version.as_deref()
        }

        /// All tags, those of the attribute first.
        pub fn all_tags(&self) -> impl Iterator<Item = &str> {
            self.labels.tags()
        }
    };
}

pub(super) use label_methods;
