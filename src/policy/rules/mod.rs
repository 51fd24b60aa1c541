//! Which tools, prompts and resources somebody may use.

mod arguments;
mod glob;
mod uri;

use std::sync::Arc;

use super::Pins;
pub use arguments::{ArgumentRules, Check, Moment, Scalar, time};
pub use glob::{BadGlob, Glob};

/// What a route or a consumer may use of a server.
#[derive(Debug, Default)]
pub struct Rules {
    /// By name.
    pub tools: Names,
    /// What the arguments of tools have to be, by the tools' names.
    pub arguments: Vec<(Glob, ArgumentRules)>,
    /// Rules that have to agree too; none of them has any of its own.
    pub presets: Vec<Arc<Rules>>,
    /// By name.
    pub prompts: Names,
    /// By URI.
    pub resources: Names,
}

/// Names that are let in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Left out, every name; a list denies the rest.
    pub allow: Option<Vec<Glob>>,
    /// Denied, whatever allows them.
    pub deny: Vec<Glob>,
}

impl Names {
    /// No name at all.
    pub const fn none() -> Self {
        Self { allow: Some(Vec::new()), deny: Vec::new() }
    }

    /// Whether a name is let in.
    pub fn let_in(&self, name: &str) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name));
        self.allow.as_deref().is_none_or(any) && !any(&self.deny)
    }

    /// Those that are written out, without a star.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        let globs = self.allow.iter().flatten().chain(&self.deny);
        globs.filter_map(Glob::name)
    }

    /// Whether every name is let in.
    fn are_all(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }
}

impl Rules {
    /// These, and those of the presets.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.presets.iter().map(Arc::as_ref))
    }
}

/// The rules that hold for an exchange: those of its route and those of its consumer, and both have
/// to agree. What is called and what is listed are judged by the same questions.
#[derive(Clone)]
pub struct Rulebook {
    route: Option<Arc<Rules>>,
    consumer: Option<Arc<Rules>>,
    pins: Option<Arc<Pins>>,
}

impl Rulebook {
    /// The rules of both; `None` where neither has any, and nothing is judged.
    pub fn of(route: Option<&Arc<Rules>>, consumer: Option<&Arc<Rules>>) -> Option<Self> {
        match (route, consumer) {
            (None, None) => None,
            (route, consumer) => {
                Some(Self { route: route.cloned(), consumer: consumer.cloned(), pins: None })
            }
        }
    }

    /// The same, and no tool that isn't what it was trusted as.
    pub fn pinned(book: Option<Self>, pins: Option<&Arc<Pins>>) -> Option<Self> {
        match (book, pins) {
            (book, None) => book,
            (None, pins) => Some(Self { route: None, consumer: None, pins: pins.cloned() }),
            (Some(book), pins) => Some(Self { pins: pins.cloned(), ..book }),
        }
    }

    fn each(&self) -> impl Iterator<Item = &Rules> {
        let both = [&self.route, &self.consumer].into_iter().flatten();
        both.flat_map(|rules| rules.each())
    }

    fn all(&self, ask: impl Fn(&Rules) -> bool) -> bool {
        self.each().all(ask)
    }

    /// Whether a tool may be called, and so be listed.
    pub fn tool(&self, name: &str) -> bool {
        self.all(|rules| rules.tools.let_in(name))
            && self.pins.as_ref().is_none_or(|pins| pins.let_in(name))
    }

    /// Whether a tool may be listed as it is described there.
    pub fn tool_as(&self, name: &str, text: &str) -> bool {
        self.all(|rules| rules.tools.let_in(name))
            && self.pins.as_ref().is_none_or(|pins| pins.let_in_as(name, text))
    }

    /// What the arguments of a tool have to be, of everyone who has to agree.
    pub fn arguments(&self, tool: &str) -> impl Iterator<Item = &ArgumentRules> {
        let all = self.each().flat_map(|rules| &rules.arguments);
        all.filter(move |(glob, _)| glob.matches(tool)).map(|(_, rules)| rules)
    }

    /// Whether a prompt may be used, and so be listed.
    pub fn prompt(&self, name: &str) -> bool {
        self.all(|rules| rules.prompts.let_in(name))
    }

    /// Whether a resource may be read, and so be listed. A URI that a server could take for another
    /// one may not, where only some are let in.
    pub fn resource(&self, uri: &str) -> bool {
        self.all(|rules| {
            rules.resources.are_all() || uri::is_canonical(uri) && rules.resources.let_in(uri)
        })
    }

    /// Whether a template of resources may be completed, and so be listed: by its own text, which no
    /// server resolves.
    pub fn template(&self, template: &str) -> bool {
        self.all(|rules| rules.resources.let_in(template))
    }
}

/// Whether a glob of resources could match a URI that is judged. One without a star is a single URI,
/// or with braces a template.
pub fn names_a_resource(glob: &Glob) -> bool {
    let whole = glob.name().is_none_or(|uri| uri.contains('{') || uri::is_canonical(uri));
    whole && glob.as_str().split('*').all(uri::could_be_part)
}

#[cfg(test)]
mod tests;
