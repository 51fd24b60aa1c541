//! A table of the file, read setting by setting.

use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Span, mask::shown, reading::Reading, value::Fault};
use crate::types::Name;

/// Everything that DESIGN names and this version can't do yet. To ignore one of them would be a
/// hole: the file would promise what nobody enforces.
pub(super) type Later = &'static [&'static str];

/// Settings whose value may be a key, if only by mistake.
const SECRET: [&str; 3] = ["upstream_key", "key_sha256", "previous"];

pub(super) struct Table<'t> {
    /// What the table is called in messages: `[limits]`.
    label: &'static str,
    at: Span,
    entries: Vec<Entry<'t>>,
    known: Vec<&'static str>,
}

struct Entry<'t> {
    key: &'t str,
    key_at: Span,
    value: &'t Spanned<DeValue<'t>>,
    read: bool,
}

/// A setting and its value.
#[derive(Clone)]
pub(super) struct Item<'t> {
    pub(super) name: &'t str,
    /// The value.
    pub(super) at: Span,
    /// The name.
    pub(super) name_at: Span,
    pub(super) value: &'t DeValue<'t>,
}

/// What a setting holds.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Text,
    Count,
    Flag,
    List,
    Table,
}

/// Faults of one list that are told one by one. Each shows its line, and a list of 100,000 nets may
/// stand on one: to tell all of them would take the square of its length.
pub(super) const TOLD: usize = 20;

impl<'t> Table<'t> {
    pub(super) fn new(label: &'static str, at: Span, table: &'t DeTable<'t>) -> Self {
        let mut entries: Vec<Entry<'_>> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref(),
                key_at: key.span(),
                value,
                read: false,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at.start);
        Self { label, at, entries, known: Vec::new() }
    }

    /// Its header, or its braces.
    pub(super) fn at(&self) -> &Span {
        &self.at
    }

    /// Takes a setting; from now on it is known.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Item<'t>> {
        self.known.push(name);
        let entry = self.entries.iter_mut().find(|entry| entry.key == name)?;
        entry.read = true;
        Some(entry.item())
    }

    /// Takes a setting that has to be there.
    pub(super) fn require(
        &mut self,
        name: &'static str,
        example: &str,
        reading: &mut Reading<'_>,
    ) -> Option<Item<'t>> {
        let item = self.take(name);
        if item.is_none() {
            reading.missing(&self.at, format!("{} has no `{name}`", self.label), example);
        }
        item
    }

    /// Whether the setting is written at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name)
    }

    /// Whether something is written that nobody has taken.
    pub(super) fn has_unread(&self) -> bool {
        self.entries.iter().any(|entry| !entry.read)
    }

    /// Takes a table of the file's top level.
    pub(super) fn section(
        &mut self,
        name: &'static str,
        label: &'static str,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        self.take(name)?.table(label, reading)
    }

    /// Takes every setting: the names are the operator's own.
    pub(super) fn take_all(&mut self) -> Vec<Item<'t>> {
        self.entries.iter_mut().for_each(|entry| entry.read = true);
        self.entries.iter().map(Entry::item).collect()
    }

    /// Reports what this version can't do yet, and what nobody asked for.
    pub(super) fn finish(mut self, later: Later, reading: &mut Reading<'_>) {
        for name in later {
            if let Some(item) = self.take(name) {
                item.not_yet(reading);
            }
        }
        // An empty name is what the parser makes of a line that it has reported itself.
        for entry in self.entries.iter().filter(|entry| !entry.read && !entry.key.is_empty()) {
            let message = format!("unknown setting {} in {}", shown(entry.key), self.label);
            let names = self.known.iter().filter(|name| !later.contains(name)).copied();
            let near = nearest(entry.key, self.known.iter().copied());
            let hint = match near {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
            };
            let problem = reading.error(&entry.key_at, message).hint(hint);
            // Nobody knows what it is, so it may be a secret. A header is its own value.
            if near.is_none_or(|name| SECRET.contains(&name))
                && !entry.value.span().contains(&entry.key_at.start)
            {
                problem.conceal(&entry.value.span());
            }
        }
    }
}

impl<'t> Entry<'t> {
    fn item(&self) -> Item<'t> {
        let name_at = self.key_at.clone();
        Item { name: self.key, at: self.value.span(), name_at, value: self.value.get_ref() }
    }
}

impl<'t> Item<'t> {
    /// Reports that this version can't do it yet.
    pub(super) fn not_yet(&self, reading: &mut Reading<'_>) {
        reading
            .error(&self.name_at, format!("`{}` is not in this version yet", self.name))
            .hint("remove it: a setting that nobody enforces would be a false promise");
    }

    pub(super) fn text(&self, reading: &mut Reading<'_>) -> Option<&'t str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong(Wanted::Text, reading);
        }
        text
    }

    /// A text that `parse` makes something of.
    pub(super) fn read<T>(
        &self,
        reading: &mut Reading<'_>,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let text = self.text(reading)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                let message = format!("`{}`: {}", self.name, fault.message);
                reading.error(&self.at, message).hint = fault.hint;
                None
            }
        }
    }

    /// A text that is one of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        reading: &mut Reading<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(reading)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<String> =
                choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let message = format!("`{}` can't be {}", self.name, shown(text));
            reading.error(&self.at, message).hint(format!("write {}", words.join(" or ")));
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number within bounds.
    pub(super) fn count(
        &self,
        reading: &mut Reading<'_>,
        (least, most): (u32, u32),
    ) -> Option<u32> {
        let Some(number) = self.value.as_integer() else {
            self.wrong(Wanted::Count, reading);
            return None;
        };
        let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.and_then(|value| u32::try_from(value).ok());
        let fits = value.filter(|value| (least..=most).contains(value));
        if fits.is_none() {
            let message = format!("`{}` must be from {least} to {most}", self.name);
            reading.error(&self.at, message);
        }
        fits
    }

    /// True or false.
    pub(super) fn flag(&self, reading: &mut Reading<'_>) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.wrong(Wanted::Flag, reading);
        }
        flag
    }

    /// The elements of a list.
    pub(super) fn list(&self, reading: &mut Reading<'_>) -> Option<Vec<Self>> {
        let Some(array) = self.value.as_array() else {
            self.wrong(Wanted::List, reading);
            return None;
        };
        let element = |value: &'t Spanned<DeValue<'t>>| Item {
            at: value.span(),
            value: value.get_ref(),
            ..self.clone()
        };
        Some(array.iter().map(element).collect())
    }

    /// What `read` makes of each element, until too many have faults.
    pub(super) fn each<T>(
        &self,
        reading: &mut Reading<'_>,
        read: impl Fn(&Self, &mut Reading<'_>) -> Vec<T>,
    ) -> Vec<T> {
        let items = self.list(reading).unwrap_or_default();
        let (mut values, before) = (Vec::new(), reading.problems_so_far());
        for (index, item) in items.iter().enumerate() {
            if reading.problems_so_far() - before >= TOLD {
                let left = items.len() - index;
                let message = format!("`{}`: {left} more elements weren't looked at", self.name);
                reading.error(&item.at, message).hint("mend those above first");
                break;
            }
            values.extend(read(item, reading));
        }
        values
    }

    /// A list of texts, each read by `parse`; those that can't be are reported and left out.
    pub(super) fn list_of<T>(
        &self,
        reading: &mut Reading<'_>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<(T, Span)> {
        let items = self.list(reading).unwrap_or_default();
        let mut values = Vec::new();
        for item in items {
            if let Some(value) = item.read(reading, &parse) {
                values.push((value, item.at));
            }
        }
        values
    }

    pub(super) fn table(
        &self,
        label: &'static str,
        reading: &mut Reading<'_>,
    ) -> Option<Table<'t>> {
        let Some(table) = self.value.as_table() else {
            self.wrong(Wanted::Table, reading);
            return None;
        };
        Some(Table::new(label, self.at.clone(), table))
    }

    /// A list of tables: `[[routes]]`.
    pub(super) fn tables(&self, label: &'static str, reading: &mut Reading<'_>) -> Vec<Table<'t>> {
        if self.value.is_table() {
            let hint = match label.strip_prefix("[[") {
                Some(_) => format!("write its header in two brackets: {label}"),
                None => "put it in square brackets".to_owned(),
            };
            let message = format!("there can be several of `{}`, so it is a list", self.name);
            reading.error(&self.name_at, message).hint(hint);
            return Vec::new();
        }
        let Some(items) = self.list(reading) else { return Vec::new() };
        if items.is_empty() {
            reading.error(&self.at, format!("`{}` is empty", self.name)).hint("add one");
        }
        items.iter().filter_map(|item| item.table(label, reading)).collect()
    }

    /// A name of a route, consumer, upstream or listener.
    pub(super) fn name(&self, reading: &mut Reading<'_>) -> Option<(Name, Span)> {
        let name = self.read(reading, super::value::name)?;
        Some((name, self.at.clone()))
    }

    /// An address and port.
    pub(super) fn socket_address(&self, reading: &mut Reading<'_>) -> Option<std::net::SocketAddr> {
        self.read(reading, |text| {
            std::net::SocketAddr::from_str(text).map_err(|_| {
                let fault = Fault::new(format!("{} is no address and port", shown(text)));
                fault.hint("write \"0.0.0.0:443\", \"127.0.0.1:8080\" or \"[::]:443\"")
            })
        })
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong(&self, wanted: Wanted, reading: &mut Reading<'_>) {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let (wanted, hint) = match wanted {
            Wanted::Text => ("a text", "put it in quotes, with its unit if it has one"),
            Wanted::Count => ("a whole number", "write digits alone, without quotes"),
            Wanted::Flag => ("true or false", "write true or false, without quotes"),
            Wanted::List => ("a list", "put it in square brackets"),
            Wanted::Table => ("a table", "put it in braces: { name = value }"),
        };
        let message = format!("`{}` must be {wanted}, this is {found}", self.name);
        reading.error(&self.at, message).hint(hint);
    }
}

/// The candidate that a misspelled name was probably meant to be.
pub(super) fn nearest<'n>(
    written: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let written = written.to_ascii_lowercase();
    // One slip in three characters is a typo, more is another word.
    let tolerated = written.chars().count().div_ceil(3).min(4);
    candidates
        .map(|name| (strsim::osa_distance(&written, name), name))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
