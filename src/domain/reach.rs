//! Whether the people whom the steps of a workflow name can satisfy them at all.
//!
//! A person votes once in a step, and where the workflow wants different people, once in all of them. So entries that
//! must be satisfied together are so many places to be filled by different people: a matching. Members of a role may
//! come from tokens, hence are unknown; a role entry counts as satisfiable wherever its scope covers the target.

use std::collections::{BTreeMap, BTreeSet};

/// Places to fill in one question, at most; more than this counts as reachable, since no real workflow has so many.
const PLACES_MAX: usize = 1_000;
/// Choices between entries of `any` steps looked at, at most; beyond them the workflow counts as reachable.
const CHOICES_MAX: usize = 1_000;

/// Whom an entry names.
pub enum Who<'a> {
    /// People we cannot know.
    Unknown,
    Known(BTreeSet<&'a str>),
}

/// So many approvals by such people.
pub struct StepEntry<'a> {
    pub who: Who<'a>,
    /// How many different people.
    pub min: usize,
}

pub struct StepNeeds<'a> {
    /// One entry suffices; otherwise all are needed.
    pub any: bool,
    pub entries: Vec<StepEntry<'a>>,
}

/// What cannot be satisfied.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// This step, by itself.
    Step(usize),
    /// The steps together, where they want different people.
    Together,
}

/// What of `steps` nobody can satisfy when the people in `without` do not vote; `distinct` if nobody may vote in two
/// steps.
pub fn unreachable(
    steps: &[StepNeeds<'_>],
    distinct: bool,
    without: &BTreeSet<&str>,
) -> Option<Unreachable> {
    let alone = |step: &StepNeeds<'_>| choices(step).iter().any(|c| are_enough(c, without));
    if let Some(n) = steps.iter().position(|step| !alone(step)) {
        return Some(Unreachable::Step(n));
    }
    if !distinct || steps.len() < 2 {
        return None;
    }
    let options: Vec<_> = steps.iter().map(choices).collect();
    let mut picked = vec![0; options.len()];
    for _ in 0..CHOICES_MAX {
        let together: Vec<_> = options
            .iter()
            .zip(&picked)
            .flat_map(|(option, n)| option[*n].iter().copied())
            .collect();
        if are_enough(&together, without) {
            return None;
        }
        if !advance(&mut picked, &options) {
            return Some(Unreachable::Together);
        }
    }
    None
}

/// People whose absence could matter: those in entries that have few to choose from.
pub fn scarce<'a>(steps: &[StepNeeds<'a>]) -> BTreeSet<&'a str> {
    let entries = || steps.iter().flat_map(|s| &s.entries);
    let places: usize = entries().map(|e| e.min).sum();
    entries()
        .filter_map(|e| match &e.who {
            Who::Known(people) if people.len() <= places => Some(people),
            _ => None,
        })
        .flatten()
        .copied()
        .collect()
}

/// Sets of entries of which one has to be satisfied whole.
fn choices<'s, 'a>(step: &'s StepNeeds<'a>) -> Vec<Vec<&'s StepEntry<'a>>> {
    if step.any {
        step.entries.iter().map(|e| vec![e]).collect()
    } else {
        vec![step.entries.iter().collect()]
    }
}

/// Moves on to the next combination; `false` after the last.
fn advance<T>(picked: &mut [usize], options: &[Vec<T>]) -> bool {
    for (n, option) in picked.iter_mut().zip(options) {
        *n += 1;
        if *n < option.len() {
            return true;
        }
        *n = 0;
    }
    false
}

/// Whether different people can fill all places of `entries`.
fn are_enough(entries: &[&StepEntry<'_>], without: &BTreeSet<&str>) -> bool {
    let known: Vec<(Vec<&str>, usize)> = entries
        .iter()
        .filter_map(|e| match &e.who {
            Who::Known(people) => Some((people.difference(without).copied().collect(), e.min)),
            Who::Unknown => None,
        })
        .collect();
    if known.iter().any(|(people, min)| people.len() < *min) {
        return false;
    }
    let places: usize = known.iter().map(|(_, min)| min).sum();
    if places > PLACES_MAX {
        return true;
    }
    // An entry with as many people as there are places finds somebody, whichever people the others take.
    let mut matching = Matching {
        choice: Vec::new(),
        holds: BTreeMap::new(),
    };
    for (people, min) in known.iter().filter(|(people, _)| people.len() < places) {
        for _ in 0..*min {
            matching.choice.push(people);
            let place = matching.choice.len() - 1;
            if !matching.fill(place, &mut BTreeSet::new()) {
                return false;
            }
        }
    }
    true
}

/// Who fills which place.
struct Matching<'a> {
    /// Who may fill each place.
    choice: Vec<&'a [&'a str]>,
    /// The place that a person fills.
    holds: BTreeMap<&'a str, usize>,
}

impl<'a> Matching<'a> {
    /// Fills a place, moving others to other places where that helps. Recursion is as deep as there are places.
    fn fill(&mut self, place: usize, tried: &mut BTreeSet<&'a str>) -> bool {
        for person in self.choice[place] {
            if !tried.insert(person) {
                continue;
            }
            let free = match self.holds.get(person) {
                None => true,
                Some(other) => self.fill(*other, tried),
            };
            if free {
                self.holds.insert(person, place);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
