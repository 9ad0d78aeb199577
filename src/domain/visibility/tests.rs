//! Who sees what, as tables. The request is of `requester` and runs on app/production; its workflow wants the group
//! `ops`, then the role `lead`.

use super::*;
use crate::domain::actor::tests::caller;
use crate::domain::approval::tests::{votes, workflow};
use crate::domain::permission::tests::lines;
use crate::domain::request::tests::request;

/// `yes`, or the code of the refusal.
fn word(result: Result<(), Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |()| "yes")
}

#[test]
fn callers_see_requests_as_the_table_says() {
    let table = "
caller    | held                        | ceiling             | groups | status    | votes                              | sees      | learns
requester | a = request.view            | -                   |        | executed  |                                    | yes       | yes
requester | a = request.create          | -                   |        | pending   |                                    | forbidden | forbidden
requester | a = request.view @ /staging | -                   |        | pending   |                                    | forbidden | forbidden
ann       | a = request.view            | -                   |        | pending   |                                    | forbidden | forbidden
ann       | a = *                       | -                   |        | executed  |                                    | yes       | yes
ann       | a = * @ /staging            | -                   |        | pending   |                                    | forbidden | forbidden
ann       | a = *                       | a = request.view    |        | pending   |                                    | forbidden | forbidden
ann       | a = request.approve         | -                   |        | pending   |                                    | yes       | yes
ann       | a = request.approve         | -                   |        | executed  |                                    | forbidden | forbidden
ann       | a = request.approve @ /dev  | -                   |        | pending   |                                    | forbidden | forbidden
ann       |                             | -                   | ops    | pending   |                                    | yes       | yes
ann       |                             | -                   | ops    | cancelled |                                    | forbidden | yes
ann       |                             | -                   | dba    | pending   |                                    | forbidden | forbidden
ann       |                             | a = request.view    | ops    | pending   |                                    | forbidden | not_an_approver
ann       |                             | a = request.approve | ops    | pending   |                                    | yes       | yes
ann       | lead = request.view         | -                   |        | pending   |                                    | forbidden | yes
ann       | lead = request.view         | -                   |        | pending   | 0 bob group:ops                    | yes       | yes
ann       | lead = request.view @ /dev  | -                   |        | pending   | 0 bob group:ops                    | forbidden | forbidden
ann       |                             | -                   | ops    | pending   | 0 bob group:ops                    | forbidden | yes
ann       |                             | -                   |        | executed  | 0 ann group:ops                    | yes       | yes
ann       |                             | -                   |        | rejected  | -0 ann group:ops                   | yes       | yes
ann       |                             | -                   |        | executed  | 0 bob group:ops                    | forbidden | forbidden
ann       |                             | a = request.create  |        | executed  | 0 ann group:ops                    | forbidden | forbidden
ann       |                             | a = request.view    |        | executed  | 0 ann group:ops                    | yes       | yes
ann       |                             | a = request.approve |        | executed  | 0 ann group:ops                    | yes       | yes
";
    let workflow = workflow("group:ops ; role:lead", "");
    for (line, cell) in lines(table) {
        let caller = caller(cell[0], cell[1], cell[2], cell[3]);
        let request = request(Status::parse(cell[4]).unwrap());
        let votes = votes(cell[5]);
        let sees = word(may_view(&caller, &request, Some(&workflow), &votes));
        let learns = word(may_learn_status(&caller, &request, Some(&workflow), &votes));
        assert_eq!([sees, learns], cell[6..], "{line}");
    }
}

#[test]
fn refusal_says_whether_the_request_is_ones_own() {
    let request = request(Status::Pending);
    for (subject, hint) in [("requester", true), ("ann", false)] {
        let caller = caller(subject, "", "-", "");
        let refused = may_view(&caller, &request, None, &[]).unwrap_err();
        let others = refused.message().ends_with("of somebody else");
        assert_eq!((refused.hint_text().is_some(), others), (hint, !hint));
    }
}

#[test]
fn callers_read_results_as_the_table_says() {
    let table = "
caller    | held                       | ceiling            | access              | shared    | alone     | shared
requester | a = result.view            | -                  |                     |           | yes       | forbidden
requester | a = request.view           | -                  |                     |           | forbidden | forbidden
ann       | a = result.view            | -                  |                     |           | no        | forbidden
ann       | a = *                      | -                  |                     |           | yes       | forbidden
ann       | a = *                      | a = result.view    |                     |           | no        | forbidden
ann       | a = * @ /staging           | -                  |                     |           | forbidden | forbidden
ann       | a = result.view            | -                  | role:b group:ops    |           | yes       | forbidden
ann       | a = result.view            | -                  | role:a              |           | yes       | forbidden
ann       | a = result.view            | -                  | user:bob            | user:ann  | no        | yes
ann       | a = result.view            | -                  | user:bob            | user:bob  | no        | forbidden
ann       | a = request.view           | -                  | user:ann            | user:ann  | forbidden | yes
";
    let request = request(Status::Executed);
    let selectors = |cell: &str| -> Vec<Selector> {
        let names = cell.split_whitespace();
        names.map(|s| Selector::parse(s).unwrap()).collect()
    };
    for (line, cell) in lines(table) {
        let caller = caller(cell[0], cell[1], cell[2], "ops");
        let alone = match may_read_unshared(&caller, &request, &selectors(cell[3])) {
            Ok(true) => "yes",
            Ok(false) => "no",
            Err(error) => error.code(),
        };
        let shared = word(may_read_shared(&caller, &request, &selectors(cell[4])));
        assert_eq!([alone, shared], cell[5..], "{line}");
    }
}
