//! Steps that nobody can satisfy, as a table and against a search that tries everybody everywhere.
//!
//! Steps are separated by `;`, entries by `,`; an entry is `2 of a b c`, or `1 of ?` for people we cannot know. A step
//! that begins with `any` wants one of its entries, another all of them.

use super::*;
use crate::domain::permission::tests::lines;

fn steps(cell: &str) -> Vec<StepNeeds<'_>> {
    let steps = cell.split(';').map(str::trim).filter(|s| !s.is_empty());
    let entry = |text| {
        let (min, people) = str::split_once(text, "of").unwrap();
        let people: BTreeSet<&str> = people.split_whitespace().collect();
        StepEntry {
            who: if people.contains("?") {
                Who::Unknown
            } else {
                Who::Known(people)
            },
            min: min.trim().parse().unwrap(),
        }
    };
    steps
        .map(|text| {
            let entries = text.strip_prefix("any ");
            StepNeeds {
                any: entries.is_some(),
                entries: entries.unwrap_or(text).split(',').map(entry).collect(),
            }
        })
        .collect()
}

#[test]
fn steps_that_nobody_can_satisfy() {
    // Apart: different people in all steps. Without: who does not vote. Scarce: whose absence could matter.
    let table = "
steps                                   | apart | without | unreachable | scarce
                                        | yes   |         | -           |
1 of a                                  | no    |         | -           | a
1 of a                                  | no    | a       | step 0      | a
1 of a b                                | no    | a       | -           |
2 of a b                                | no    |         | -           | a b
2 of a b                                | no    | b       | step 0      | a b
2 of a                                  | no    |         | step 0      | a
1 of                                    | no    |         | step 0      |
1 of ?                                  | yes   | a       | -           |
9 of ?                                  | yes   |         | -           |
1 of a, 1 of a                          | no    |         | step 0      | a
1 of a, 1 of a b                        | no    |         | -           | a b
1 of a b, 1 of a b                      | no    |         | -           | a b
1 of a b, 1 of a b                      | no    | b       | step 0      | a b
1 of a b, 1 of a b, 1 of a b            | no    |         | step 0      | a b
1 of a b, 1 of b c, 1 of a c            | no    |         | -           | a b c
2 of a b c, 1 of a b, 1 of a            | no    |         | step 0      | a b c
any 1 of a, 1 of b                      | no    | a       | -           | a b
any 1 of a, 1 of b                      | no    | a b     | step 0      | a b
any 1 of a, 1 of ?                      | no    | a       | -           | a
any 2 of a, 2 of b                      | no    |         | step 0      | a b
1 of a, 1 of ?                          | no    | a       | step 0      | a
1 of a ; 1 of b                         | yes   | b       | step 1      | a b
1 of a ; 1 of a                         | no    |         | -           | a
1 of a ; 1 of a                         | yes   |         | together    | a
1 of a b ; 1 of a                       | yes   |         | -           | a b
1 of a b ; 1 of a                       | yes   | b       | together    | a b
1 of a b ; 1 of a b ; 1 of a b          | yes   |         | together    | a b
1 of a b c ; 1 of a b c ; 1 of a b c    | yes   |         | -           | a b c
any 1 of a, 1 of b ; 1 of a             | yes   |         | -           | a b
any 1 of a, 1 of b ; any 1 of a, 1 of b | yes   |         | -           | a b
any 1 of a, 1 of b ; 1 of a ; 1 of b    | yes   |         | together    | a b
1 of ? ; 1 of a ; 1 of ?                | yes   |         | -           | a
1 of ? ; 1 of a ; 1 of a                | yes   |         | together    | a
";
    for (line, cell) in lines(table) {
        let steps = steps(cell[0]);
        let without = cell[2].split_whitespace().collect();
        let found = match unreachable(&steps, cell[1] == "yes", &without) {
            None => "-".to_owned(),
            Some(Unreachable::Step(n)) => format!("step {n}"),
            Some(Unreachable::Together) => "together".to_owned(),
        };
        assert_eq!(found, cell[3], "{line}");
        let scarce: Vec<&str> = scarce(&steps).into_iter().collect();
        assert_eq!(scarce.join(" "), cell[4], "{line}");
    }
}

/// Whether different people can fill all entries: tries everybody everywhere.
fn fills(entries: &[(&BTreeSet<&str>, usize)], taken: &mut Vec<String>) -> bool {
    let Some(((people, min), rest)) = entries.split_first() else {
        return true;
    };
    if *min == 0 {
        return fills(rest, taken);
    }
    let left: Vec<_> = [(*people, min - 1)]
        .into_iter()
        .chain(rest.to_vec())
        .collect();
    people.iter().any(|person| {
        if taken.iter().any(|t| t == person) {
            return false;
        }
        taken.push((*person).to_owned());
        let filled = fills(&left, taken);
        taken.pop();
        filled
    })
}

fn search(steps: &[StepNeeds<'_>]) -> bool {
    let known = |entries: &[&StepEntry<'_>]| {
        let people = entries.iter().filter_map(|e| match &e.who {
            Who::Known(people) => Some((people, e.min)),
            Who::Unknown => None,
        });
        fills(&people.collect::<Vec<_>>(), &mut Vec::new())
    };
    let mut options: Vec<Vec<&StepEntry<'_>>> = vec![Vec::new()];
    for step in steps {
        let all: Vec<&StepEntry<'_>> = step.entries.iter().collect();
        let ways: Vec<Vec<&StepEntry<'_>>> = match step.any {
            true => all.iter().map(|e| vec![*e]).collect(),
            false => vec![all],
        };
        let more = |option: &Vec<_>| {
            let option = option.clone();
            ways.clone()
                .into_iter()
                .map(move |way| [option.clone(), way].concat())
        };
        options = options.iter().flat_map(more).collect();
    }
    options.iter().any(|option| known(option))
}

#[test]
fn the_answer_is_that_of_a_search_through_everybody() {
    let entries = [
        "1 of a",
        "1 of b",
        "1 of a b",
        "2 of a b",
        "2 of a b c",
        "1 of c",
        "1 of ?",
    ];
    let mut texts: Vec<String> = entries.map(str::to_owned).into();
    for one in entries {
        for two in entries {
            texts.push(format!("{one}, {two}"));
            texts.push(format!("any {one}, {two}"));
        }
    }
    let (mut reachable, mut not) = (0, 0);
    for one in &texts {
        for two in texts.iter().step_by(3) {
            let text = format!("{one} ; {two}");
            let steps = steps(&text);
            let got = unreachable(&steps, true, &BTreeSet::new()).is_none();
            assert_eq!(got, search(&steps), "{text}");
            let alone = unreachable(&steps, false, &BTreeSet::new()).is_none();
            let wanted = steps.iter().all(|s| search(std::slice::from_ref(s)));
            assert_eq!(alone, wanted, "{text} alone");
            *if got { &mut reachable } else { &mut not } += 1;
        }
    }
    assert!(reachable > 500 && not > 500, "{reachable} {not}");
}

#[test]
fn questions_beyond_the_bounds_count_as_reachable() {
    let none = BTreeSet::new();
    // Two places for one person are too few, among as many others as are looked at and among one more.
    let crowded = |places: usize| {
        let others = (0..places - 2).map(|n| format!("1 of p{n}"));
        let entries: Vec<String> = others.chain(vec!["1 of a".to_owned(); 2]).collect();
        unreachable(&steps(&entries.join(", ")), false, &none)
    };
    assert_eq!(crowded(PLACES_MAX), Some(Unreachable::Step(0)));
    assert_eq!(crowded(PLACES_MAX + 1), None);
    // One person for three steps, in as many ways as are looked at and in one more.
    let chosen = |ways: [usize; 3]| {
        let step = |n| format!("any {}", vec!["1 of a"; n].join(", "));
        unreachable(&steps(&ways.map(step).join(" ; ")), true, &none)
    };
    assert_eq!(chosen([10, 10, 10]), Some(Unreachable::Together));
    assert_eq!(chosen([7, 11, 13]), None);
}
