//! From the text of one key to its type.

use std::collections::HashSet;
use std::hash::Hash;
use std::str::FromStr;

use super::super::layer::{Item, Merged};
use super::super::values::{Invalid, truth};
use crate::failure::{Failure, Result};

pub(super) fn parse<T: FromStr>(item: &Item) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    item.text.parse().map_err(|why: T::Err| item.refuse(why))
}

pub(super) fn optional<T: FromStr>(merged: &Merged, name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    merged.one(name).map(parse).transpose()
}

/// docker's: 0 is the same as not given.
pub(super) fn unless_zero<T: FromStr>(merged: &Merged, name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match merged.one(name) {
        Some(item) if item.text.trim() == "0" => Ok(None),
        _ => optional(merged, name),
    }
}

pub(super) fn optional_with<T>(
    merged: &Merged,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Option<T>> {
    let parsed = merged
        .one(name)
        .map(|item| parse(&item.text).map_err(|why| item.refuse(why)));
    parsed.transpose()
}

pub(super) fn required<T: FromStr>(merged: &Merged, name: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    optional(merged, name)?.ok_or_else(|| missing(name))
}

pub(super) fn required_with<T>(
    merged: &Merged,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<T> {
    optional_with(merged, name, parse)?.ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> Failure {
    Failure::usage(format!("no layer gives a value for {name}"))
}

pub(super) fn switch(merged: &Merged, name: &str) -> Result<bool> {
    let item = merged.one(name);
    item.map_or(Ok(false), |item| {
        truth(&item.text).map_err(|why| item.refuse(why))
    })
}

pub(super) fn list<T>(
    merged: &Merged,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>> {
    merged
        .all(name)
        .map(|item| parse(&item.text).map_err(|why| item.refuse(why)))
        .collect()
}

pub(super) fn each<T: FromStr>(merged: &Merged, name: &str) -> Result<Vec<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    merged.all(name).map(parse).collect()
}

/// A list whose items have a name that stands in it once.
pub(super) fn unique<T: FromStr, N: Eq + Hash>(
    merged: &Merged,
    name: &str,
    name_of: impl Fn(&T) -> N,
) -> Result<Vec<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let mut seen = HashSet::new();
    let items = merged.all(name).map(|item| {
        let value = parse(item)?;
        match seen.insert(name_of(&value)) {
            true => Ok(value),
            false => Err(item.refuse("it is given twice")),
        }
    });
    items.collect()
}
