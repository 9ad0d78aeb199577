//! Votes as tables: who may approve or reject what, and what a step needs.
//!
//! Steps are separated by `;`, approvers by `,`, each with how many it wants (`group:ops*2`); a step that begins with
//! `any` wants one of them, another all. Votes are `step actor selector`, separated by `,`; one with `-` in front is a
//! rejection.

use super::*;
use crate::domain::actor::tests::caller;
use crate::domain::permission::tests::{lines, target, word};
use crate::domain::policy::workflow::ApproverEntry;
use crate::domain::scope::Scope;

/// Everybody of the tables: name, roles held, ceiling of the token, groups. The request is on app/production.
const CAST: &str = "
name        | held                           | ceiling                        | groups
requester   | developer = request.create     | -                              |
reader      | readonly = request.view        | -                              |
op-one      | readonly = request.view        | -                              | ops
op-two      | readonly = request.view        | -                              | ops
dba         | readonly = request.view        | -                              | dba
both        | readonly = request.view        | -                              | ops dba
lead        | lead = request.view            | -                              |
stage-lead  | lead = request.view @ /staging | -                              |
admin       | admin = *                      | -                              |
stage-admin | admin = * @ /staging           | -                              |
op-admin    | admin = *                      | -                              | ops
op-mute     | readonly = request.view        | readonly = request.view        | ops
op-voter    | readonly = request.view        | voter = request.approve        | ops
lead-mute   | lead = request.view            | readonly = request.view        |
admin-mute  | admin = *                      | readonly = request.view        |
";

fn who(name: &str) -> Caller {
    let found = lines(CAST).find(|(_, cell)| cell[0] == name);
    let (_, cell) = found.unwrap_or_else(|| panic!("{name} is not in the cast"));
    caller(name, cell[1], cell[2], cell[3])
}

/// The workflow of these cells.
pub(crate) fn workflow(steps: &str, options: &str) -> Workflow {
    let entry = |text: &str| {
        let (selector, min) = text.trim().split_once('*').unwrap_or((text.trim(), "1"));
        ApproverEntry {
            selector: Selector::parse(selector).unwrap(),
            min: min.parse().unwrap(),
        }
    };
    let step = |text: &str| {
        let any = text.strip_prefix("any ");
        WorkflowStep {
            mode: if any.is_some() { Mode::Any } else { Mode::All },
            approvers: any.unwrap_or(text).split(',').map(entry).collect(),
        }
    };
    let steps = steps.split(';').map(str::trim).filter(|s| !s.is_empty());
    let has = |option| options.split_whitespace().any(|o| o == option);
    Workflow {
        steps: steps.map(step).collect(),
        allow_self_approve: has("own"),
        allow_same_approver_across_steps: !has("others"),
        admin_override: !has("named-only"),
        distinct_token_issuer: has("own-token"),
        ..Workflow::new(Scope::any())
    }
}

pub(crate) fn votes(cell: &str) -> Vec<Vote> {
    let votes = cell.split(',').map(str::trim).filter(|v| !v.is_empty());
    votes
        .map(|text| {
            let (action, text) = match text.strip_prefix('-') {
                Some(text) => (VoteAction::Reject, text),
                None => (VoteAction::Approve, text),
            };
            let part: Vec<&str> = text.split_whitespace().collect();
            Vote {
                actor: part[1].to_owned(),
                action,
                selector: part[2].to_owned(),
                step: part[0].parse().unwrap(),
                comment: None,
                issued_by_requester: false,
                at: Timestamp(0),
                counts: true,
            }
        })
        .collect()
}

fn outcome(result: Result<String, VoteRefusal>) -> String {
    result.unwrap_or_else(|refusal| format!("{refusal:?}"))
}

#[test]
fn actions_are_read_by_their_names() {
    for (action, name) in [
        (VoteAction::Approve, "approve"),
        (VoteAction::Reject, "reject"),
    ] {
        assert_eq!(
            (action.as_str(), VoteAction::parse(name)),
            (name, Some(action))
        );
    }
    assert_eq!(VoteAction::parse("Approve"), None);
    assert_eq!(VoteAction::parse(""), None);
}

#[test]
fn step_is_satisfied_by_approvals_booked_on_what_it_wants() {
    let table = "
steps                            | votes                                                   | current
                                 |                                                         | 0
group:ops                        |                                                         | 0
group:ops                        | 0 a group:ops                                           | 1
group:ops                        | -0 a group:ops                                          | 0
group:ops                        | 0 a group:dba                                           | 0
group:ops                        | 0 a user:ops                                            | 0
group:ops                        | 1 a group:ops                                           | 0
group:ops*2                      | 0 a group:ops                                           | 0
group:ops*2                      | 0 a group:ops, -0 b group:ops                           | 0
group:ops*2                      | 0 a group:ops, 0 b group:ops                            | 1
group:ops*2                      | 0 a group:ops, 1 b group:ops                            | 0
group:ops                        | 0 a admin_override                                      | 1
group:ops*2                      | 0 a admin_override                                      | 0
group:ops*2                      | 0 a admin_override, 0 b group:ops                       | 1
group:ops*2                      | 0 a group:ops, 0 b admin_override                       | 1
group:ops*3                      | 0 a group:ops, 0 b admin_override                       | 0
group:ops, group:dba             | 0 a admin_override                                      | 0
group:ops, group:dba             | 0 a admin_override, 0 b group:dba                       | 1
any group:ops*2, group:dba*2     | 0 a admin_override, 0 b group:dba                       | 1
any group:ops*3, group:dba*2     | 0 a admin_override, 0 b group:ops                       | 0
any group:ops*2, group:dba       | 0 a admin_override                                      | 1
group:ops*2                      | -0 a admin_override                                     | 0
group:ops*2                      | 1 a admin_override                                      | 0
group:ops, group:dba             | 0 a group:ops                                           | 0
group:ops, group:dba             | 0 a group:ops, 0 b group:dba                            | 1
any group:ops, group:dba         |                                                         | 0
any group:ops, group:dba         | 0 a group:dba                                           | 1
any group:ops*2, group:dba*2     | 0 a group:ops, 0 b group:dba                            | 0
any group:ops*2, group:dba*2     | 0 a group:ops, 0 b group:dba, 0 c group:dba             | 1
group:ops ; group:dba            | 0 a group:ops                                           | 1
group:ops ; group:dba            | 1 a group:dba                                           | 0
group:ops ; group:dba            | 0 a group:ops, 1 a group:dba                            | 2
group:ops ; group:ops            | 0 a group:ops                                           | 1
group:ops ; group:dba ; user:a   | 0 a group:ops, 1 b admin_override                       | 2
";
    for (line, cell) in lines(table) {
        let got = current_step(&workflow(cell[0], ""), &votes(cell[1]));
        assert_eq!(got.to_string(), cell[2], "{line}");
    }
}

#[test]
fn what_a_step_still_needs_is_counted() {
    let table = "
steps                           | votes                             | remaining
group:ops                       |                                   | step 0: 1 of group:ops 1, then 0
group:ops*3 ; group:dba         | 0 a group:ops                     | step 0: 2 of group:ops 2, then 1
group:ops*2                     | 0 a admin_override                | step 0: 1 of group:ops 2, then 0
group:ops, group:dba            | 0 a group:ops                     | step 0: 1 of group:dba 1, then 0
any group:ops*2, group:dba*3    | 0 a group:ops                     | step 0: 1 of group:ops 1 group:dba 3, then 0
group:ops ; group:dba*2         | 0 a group:ops                     | step 1: 2 of group:dba 2, then 0
group:ops                       | 0 a group:ops                     | -
                                |                                   | -
";
    for (line, cell) in lines(table) {
        let got = remaining(&workflow(cell[0], ""), &votes(cell[1]));
        let text = got.map_or("-".to_owned(), |r| {
            let of: Vec<String> = r.of.iter().map(|(s, n)| format!("{s} {n}")).collect();
            let (votes, of) = (r.votes, of.join(" "));
            format!("step {}: {votes} of {of}, then {}", r.step, r.steps_after)
        });
        assert_eq!(text, cell[2], "{line}");
    }
}

/// Who may approve and reject: named by the current step, and what the votes would be booked on.
/// Options: `own` (requesters may approve), `others` (another person in each step), `named-only` (nobody steps in),
/// `own-token` (no token that the requester issued). The caller may choose (`as`) and may use such a token (`*`).
const VOTES: &str = "
steps                    | options    | votes                           | caller                | named | approves               | rejects
group:ops                |            |                                 | op-one                | yes   | group:ops              | group:ops
group:ops                |            |                                 | dba                   | no    | NotAnApprover          | NotAnApprover
group:ops                |            |                                 | reader                | no    | NotAnApprover          | NotAnApprover
user:reader              |            |                                 | reader                | yes   | user:reader            | user:reader
role:lead                |            |                                 | lead                  | yes   | role:lead              | role:lead
role:lead                |            |                                 | stage-lead            | no    | NotAnApprover          | NotAnApprover
group:ops                |            |                                 | requester             | no    | SelfApproval           | requester
user:requester           |            |                                 | requester             | yes   | SelfApproval           | requester
user:requester           | own        |                                 | requester             | yes   | user:requester         | requester
group:ops                | own        |                                 | requester             | no    | NotAnApprover          | requester
group:ops                |            |                                 | admin                 | no    | admin_override         | admin_override
group:ops                | named-only |                                 | admin                 | no    | NotAnApprover          | NotAnApprover
group:ops                |            |                                 | stage-admin           | no    | NotAnApprover          | NotAnApprover
group:ops                |            |                                 | admin-mute            | no    | NotAnApprover          | NotAnApprover
group:ops                |            |                                 | admin as group:ops    | no    | NotAnApprover          | admin_override
group:ops                |            |                                 | op-admin              | yes   | group:ops              | group:ops
role:admin               |            |                                 | admin                 | yes   | role:admin             | role:admin
group:ops                |            |                                 | op-mute               | no    | BeyondCeiling          | BeyondCeiling
group:ops                |            |                                 | op-voter              | yes   | group:ops              | group:ops
group:dba                |            |                                 | op-mute               | no    | NotAnApprover          | NotAnApprover
role:lead                |            |                                 | lead-mute             | no    | NotAnApprover          | NotAnApprover
group:ops                |            |                                 | op-one *              | yes   | group:ops              | group:ops
group:ops                | own-token  |                                 | op-one *              | yes   | TokenIssuedByRequester | group:ops
group:ops                | own-token  |                                 | op-one                | yes   | group:ops              | group:ops
group:ops                | own-token  |                                 | admin *               | no    | TokenIssuedByRequester | admin_override
group:ops*2              |            | 0 op-one group:ops              | op-one                | yes   | AlreadyVoted           | group:ops
group:ops*2              |            | -0 op-one group:ops             | op-one                | yes   | group:ops              | group:ops
group:ops*2              |            | 0 op-one group:ops              | op-two                | yes   | group:ops              | group:ops
group:ops                |            | 0 op-one group:ops              | op-two                | no    | AllSatisfied           | NotAnApprover
group:ops                |            | 0 op-one group:ops              | admin                 | no    | AllSatisfied           | admin_override
                         |            |                                 | admin                 | no    | AllSatisfied           | admin_override
                         |            |                                 | requester             | no    | SelfApproval           | requester
group:ops, group:dba     |            |                                 | both                  | yes   | group:ops              | group:ops
group:ops, group:dba     |            |                                 | both as group:dba     | yes   | group:dba              | group:ops
group:ops, group:dba     |            |                                 | both as group:lead    | yes   | NotAnApprover          | group:ops
group:ops, group:dba     |            |                                 | op-one as group:dba   | yes   | NotAnApprover          | group:ops
group:ops, group:dba     |            | 0 op-one group:ops              | both                  | yes   | group:dba              | group:ops
group:ops, group:dba     |            | 0 op-one group:ops              | both as group:ops     | yes   | Complete               | group:ops
group:ops, group:dba     |            | 0 op-one group:ops              | op-two                | yes   | Complete               | group:ops
group:ops*2, group:dba   |            | 0 op-one group:ops              | both as group:ops     | yes   | group:ops              | group:ops
group:ops, group:dba     |            | 0 op-one group:ops              | op-one                | yes   | AlreadyVoted           | group:ops
group:ops, group:dba     |            | 0 both group:ops                | both as group:dba     | yes   | AlreadyVoted           | group:ops
group:ops ; group:dba    |            | 0 op-one group:ops              | op-one                | no    | NotAnApprover          | NotAnApprover
group:ops ; group:dba    |            | 0 both group:ops                | both                  | yes   | group:dba              | group:dba
group:ops ; group:dba    | others     | 0 both group:ops                | both                  | yes   | VotedElsewhere         | group:dba
group:ops ; group:dba    | others     | 0 op-one group:ops              | both                  | yes   | group:dba              | group:dba
group:ops ; group:dba    | others     | 0 op-one group:ops, -1 both x   | both                  | yes   | group:dba              | group:dba
group:ops ; group:dba    |            | 0 op-one group:ops              | admin                 | no    | admin_override         | admin_override
group:ops ; group:dba    |            | 0 admin admin_override          | admin                 | no    | VotedElsewhere         | admin_override
group:dba ; role:admin   |            | 0 admin admin_override          | admin                 | yes   | VotedElsewhere         | role:admin
group:ops ; group:dba    |            | 0 op-admin group:ops            | op-admin              | no    | NotAnApprover          | admin_override
group:ops ; group:dba    |            | 0 op-admin admin_override       | admin                 | no    | NotAnApprover          | admin_override
group:ops ; group:dba    |            | -0 admin admin_override, 0 a group:ops | admin          | no    | admin_override         | admin_override
group:ops ; group:dba    |            | -0 op-admin admin_override, 0 a group:ops | admin       | no    | admin_override         | admin_override
group:ops*2              |            | 0 admin role:admin              | admin                 | no    | AlreadyVoted           | admin_override
group:ops*2              |            | 0 admin admin_override          | admin                 | no    | AlreadyVoted           | admin_override
group:ops*2              |            | 0 admin admin_override          | op-admin              | yes   | group:ops              | group:ops
group:ops*3              |            | 0 boss admin_override           | admin                 | no    | NotAnApprover          | admin_override
group:ops*2              |            | 0 admin admin_override          | op-one                | yes   | group:ops              | group:ops
";

#[test]
fn every_voter_may_do_what_the_table_says() {
    let at = target("app/production");
    for (line, cell) in lines(VOTES) {
        let (workflow, votes) = (workflow(cell[0], cell[1]), votes(cell[2]));
        let ballot = Ballot {
            workflow: &workflow,
            votes: &votes,
            target: &at,
            requester: "requester",
        };
        let name = cell[3].trim_end_matches([' ', '*']);
        let (name, chosen) = match name.split_once(" as ") {
            Some((name, chosen)) => (name, Some(Selector::parse(chosen).unwrap())),
            None => (name, None),
        };
        let mut caller = who(name);
        if cell[3].ends_with('*') {
            caller.token_issuers.insert("requester".to_owned());
        }
        let approved = ballot.approve(&caller, chosen.as_ref());
        if chosen.is_none() {
            assert_eq!(ballot.may_approve(&caller), approved.is_ok(), "{line}");
        }
        assert_eq!(
            [
                word(ballot.is_designated(&caller)),
                &outcome(approved),
                &outcome(ballot.reject(&caller)),
            ],
            cell[4..],
            "{line}"
        );
    }
}

#[test]
fn requester_rejects_with_a_token_that_may_cancel_or_decide() {
    let table = "
ceiling                        | rejects
-                              | requester
                               | BeyondCeiling
a = request.view               | BeyondCeiling
a = request.cancel             | requester
a = request.approve            | requester
a = request.cancel @ /staging  | BeyondCeiling
a = *                          | requester
";
    let (at, workflow) = (target("app/production"), workflow("group:ops", ""));
    let ballot = Ballot {
        workflow: &workflow,
        votes: &[],
        target: &at,
        requester: "requester",
    };
    for (line, cell) in lines(table) {
        let requester = caller("requester", "developer = request.create", cell[0], "");
        assert_eq!(outcome(ballot.reject(&requester)), cell[1], "{line}");
    }
}

#[test]
fn refusals_have_a_status_and_a_code() {
    use VoteRefusal::*;
    for (refusal, status, code) in [
        (SelfApproval, 403, "self_approval"),
        (NotAnApprover, 403, "not_an_approver"),
        (AlreadyVoted, 409, "already_approved"),
        (VotedElsewhere, 403, "not_an_approver"),
        (Complete, 409, "conflict"),
        (TokenIssuedByRequester, 403, "forbidden"),
        (BeyondCeiling, 403, "not_an_approver"),
        (AllSatisfied, 409, "conflict"),
    ] {
        let error = refusal.error();
        assert_eq!(
            (error.status(), error.code()),
            (status, code),
            "{refusal:?}"
        );
        // Existing clients take a 409 that says this for success.
        assert!(!error.message().contains("already approved"), "{refusal:?}");
        assert_eq!(error.message().contains("forbidden"), status == 403);
    }
}
