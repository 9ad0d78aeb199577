// What to do next on a server on which nothing happened yet, with commands to copy.
import { h } from "./dom.js";
import { get } from "./api.js";
import { card, copy, pill } from "./parts.js";

// These work as they are pasted, and are those of docs/first-team.md: a test holds them against it.
const POLICY = `[[databases]]
name = "app"
environments = ["production"]
dialect = "sqlite"

[[workflows]]
database = "app"
environment = "production"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "team"

[[auth.groups]]
name = "team"
members = ["alice", "bob"]

[[auth.role_bindings]]
role = "developer"
groups = ["team"]`;
const AGENT = `[server]
url = "${location.origin}"
token_file = "state/agent-token"

[agent]
state_dir = "agent-state"

[[databases]]
name = "app"
environment = "production"
driver = "sqlite"
path = "app.db"`;
const START = `dbward agent --config agent.toml`;
const PEOPLE = `dbward token create --subject alice --format quiet --output alice-token
dbward token create --subject bob --format quiet --output bob-token`;

function command(text, what) {
  return h("div", { class: "command" }, h("pre", { tabindex: "0", "aria-label": what }, text), h("button", { class: "button small", type: "button", "aria-label": `Copy ${what}`, onclick: () => copy(text, what[0].toUpperCase() + what.slice(1)) }, "Copy"));
}

/** The steps that are left, or nothing once somebody has asked for something. */
export async function firstSteps({ signal, can, me }) {
  const { requests } = await get("/api/requests?limit=1", { signal });
  if (requests.length > 0) return null;
  const [agents, workflows, users] = await Promise.all([
    can("metrics.view") ? get("/api/agents", { signal }).then((a) => a.agents) : [],
    can("workflow.manage") ? get("/api/workflows", { signal }).then((a) => a.workflows) : [],
    can("user.manage") ? get("/api/users?limit=20", { signal }).then((a) => a.users) : [],
  ]);
  const others = users.filter((u) => u.subject_type === "user" && u.id !== me.subject_id && u.last_seen_at);
  const steps = [
    [workflows.some((w) => w.steps.length > 0), "Write a workflow", "In server.toml: which databases there are, who must approve what, and what a group may do. dbward reload has it take effect.", command(POLICY, "the workflow")],
    [agents.length > 0, "Connect an agent", "It runs next to a database, and only it knows how to reach it. agent.toml says where both are; the first start of the server wrote the agent's token into state_dir.", [command(AGENT, "the text of agent.toml"), command(START, "the command of the agent")]],
    [others.length > 0, "Invite people", "Each member of the group gets a token, or signs in through your identity provider: [auth.oidc] in server.toml.", command(PEOPLE, "the commands for people")],
  ];
  return h(
    "div",
    { class: "first" },
    card(
      "First steps",
      `${steps.filter(([done]) => done).length} of ${steps.length} done`,
      h("ol", { class: "steps" }, steps.map(([done, title, words, how]) => h("li", null, h("span", { class: `dot ${done ? "good" : ""}` }), h("div", { class: "first-step" }, h("div", { class: "actions" }, h("strong", null, title), done && pill("good", "done")), !done && [h("p", { class: "muted" }, words), how])))),
    ),
  );
}
