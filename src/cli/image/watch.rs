//! How a pull goes, on standard error: one line that changes on a terminal, lines that stay in a pipe.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use super::show::ProgressLine;
use crate::cli::out;
use crate::human;
use crate::image::Reference;
use crate::image::digest::Digest;
use crate::image::progress::{Fetched, Progress};

/// All pulls of one command.
#[derive(Default)]
pub(super) struct Display {
    line: ProgressLine,
    totals: Mutex<Totals>,
}

/// Layers that several images share are counted once.
#[derive(Default)]
struct Totals {
    layers: HashMap<Digest, u64>,
    images: usize,
    expected: u64,
    expected_layers: usize,
    finished: usize,
}

impl Display {
    /// Takes in a step of the pull of `name`.
    pub(super) fn step(&self, name: &Reference, progress: Progress) {
        match io::stderr().is_terminal() {
            true => self.change(progress),
            false => tell(name, progress),
        }
    }

    /// Says something that stays.
    pub(super) fn note(&self, name: &Reference, text: &str) {
        self.line.clear();
        out::tell(format_args!("{}: {text}", name.familiar()));
    }

    /// Erases the line.
    pub(super) fn clear(&self) {
        self.line.clear();
    }

    fn change(&self, progress: Progress) {
        // A panic elsewhere has its own message.
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match progress {
            Progress::Unpacking { layer, layers } => format!("unpacking layer {layer} of {layers}"),
            other => {
                totals.add(other);
                totals.text()
            }
        };
        self.line.write(&text);
    }
}

impl Totals {
    fn add(&mut self, progress: Progress) {
        match progress {
            Progress::Resolved { layers, bytes, .. } => {
                self.images += 1;
                self.expected = self.expected.saturating_add(bytes);
                self.expected_layers += layers;
            }
            Progress::Storing { digest, done, .. } => {
                self.layers.insert(digest, done);
            }
            Progress::Layer { digest, bytes, .. } => {
                self.finished += 1;
                // Two images that share it expect it twice.
                if self.layers.get(&digest) == Some(&bytes) {
                    return;
                }
                self.layers.insert(digest, bytes);
            }
            Progress::Unpacking { .. } => {}
        }
    }

    fn text(&self) -> String {
        let done = self
            .layers
            .values()
            .fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        format!(
            "pulling {}: {} of {}, {} of {} layers",
            counted(self.images, "image"),
            human::size(done),
            human::size(self.expected),
            self.finished,
            self.expected_layers
        )
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

/// Whatever will still be true when somebody reads it.
fn tell(name: &Reference, progress: Progress) {
    let name = name.familiar();
    match progress {
        Progress::Resolved {
            target,
            layers,
            bytes,
        } => out::tell(format_args!(
            "{name}: {target}, {}, {}",
            counted(layers, "layer"),
            human::size(bytes)
        )),
        Progress::Layer {
            digest,
            bytes,
            fetched: Fetched::Now,
        } => out::tell(format_args!(
            "{name}: layer {} fetched, {}",
            digest.short(),
            human::size(bytes)
        )),
        Progress::Layer {
            digest,
            fetched: Fetched::Already,
            ..
        } => out::tell(format_args!("{name}: layer {} is here", digest.short())),
        Progress::Storing { .. } | Progress::Unpacking { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_over_all_images() {
        let digest = |n: u8| Digest::of(&[n]);
        let mut totals = Totals::default();
        for progress in [
            Progress::Resolved {
                target: digest(0),
                layers: 2,
                bytes: 3000,
            },
            Progress::Storing {
                digest: digest(1),
                done: 500,
                total: 1000,
            },
            Progress::Layer {
                digest: digest(2),
                bytes: 2000,
                fetched: Fetched::Already,
            },
        ] {
            totals.add(progress);
        }
        assert_eq!(
            totals.text(),
            "pulling 1 image: 2.5kB of 3kB, 1 of 2 layers"
        );
    }
}
