/** The way of an event goes one way: what stands left in docs/design.md knows nothing of what stands right of it. */
const only = (name, from, ...to) => ({
  name,
  severity: "error",
  comment: `${from} may import nothing of src but ${to.join(", ") || "nothing"}`,
  from: { path: `^src/${from}` },
  to: { path: "^src/", pathNot: to.map((path) => `^src/${path}`) }
})

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    only("an-event-knows-nothing", "event/", "event/", "(BoundedJson|JsonString|LogFields|NearMiss)[.]ts"),
    only("an-endpoint-knows-nothing", "endpoint/", "endpoint/"),
    only(
      "an-engine-knows-its-endpoint",
      "engine/",
      "engine/",
      "endpoint/",
      "event/(Lines|RecordHead)[.]ts",
      "(BoundedJson|ShellWord|Terminate)[.]ts"
    ),
    only(
      "a-feed-knows-engines-and-events",
      "feed/",
      "feed/",
      "endpoint/Endpoint[.]ts",
      "engine/",
      "event/",
      "(Backoff|BoundedJson|LogFields|Metrics)[.]ts"
    ),
    only(
      "environment-knows-only-events",
      "scripts/Environment[.]ts",
      "event/(DockerEvent|EventCatalogue|Leaves|OwnKeys)[.]ts"
    ),
    only("leaves-know-nothing", "event/Leaves[.]ts", "JsonString[.]ts"),
    only(
      "scripts-know-only-events",
      "scripts/",
      "scripts/",
      "event/(DockerEvent|EventCatalogue|Leaves|OwnKeys)[.]ts",
      "event/PodmanEvents[.]ts",
      "(DurationText|LogFields|Metrics|NearMiss|ShellWord|SystemReason|Terminate)[.]ts"
    ),
    only(
      "journal-knows-events-and-scripts",
      "journal/[^/]+$",
      "journal/[^/]+$",
      "event/(DockerEvent|EventName|RecordHead)[.]ts",
      "feed/(FeedMemory|Gap)[.]ts",
      "scripts/(Outlived|ScriptDirectory|ScriptRunner)[.]ts",
      "Metrics[.]ts"
    ),
    only(
      "the-journal-on-disk-is-a-journal",
      "(journal/(sql|sqlite|postgres)/|state[.]ts|fleet[.]ts)",
      "journal/",
      "event/(DockerEvent|EventName|OwnEvent)[.]ts",
      "feed/(Belief|FeedMemory|Gap)[.]ts",
      "scripts/(ProcessGroup|ScriptDirectory|ScriptRunner|Trust)[.]ts",
      "(Metrics|SystemReason)[.]ts"
    ),
    {
      name: "only-the-journal-on-disk-knows-sql",
      severity: "error",
      comment: "who keeps the journal in memory installs no database",
      from: { path: "^src/", pathNot: "^src/(journal/(sql|sqlite|postgres)/|(state|fleet)[.]ts)" },
      to: {
        path: "@effect/sql|node_modules/pg/|^src/(journal/(sql|sqlite|postgres)/|(state|fleet)[.]ts)",
        pathNot: "^src/(state|fleet)[.]ts$"
      }
    },
    only(
      "what-operators-see-knows-only-the-journal",
      "operate/",
      "operate/",
      "journal/Journal[.]ts",
      "event/(DockerEvent|EventName|OwnEvent)[.]ts",
      "scripts/(ScriptDirectory|ScriptRunner)[.]ts",
      "(Log|LogFields|Metrics|SystemReason)[.]ts"
    ),
    only(
      "dispatch-knows-no-feed",
      "dispatch/",
      "dispatch/",
      "journal/Journal[.]ts",
      "scripts/",
      "event/(DockerEvent|EventName|OwnEvent)[.]ts",
      "(Backoff|LogFields|Metrics)[.]ts"
    ),
    only("log-knows-only-its-fields", "Log[.]ts", "LogFields[.]ts"),
    only("metrics-know-only-events", "Metrics[.]ts", "event/(DockerEvent|EventCatalogue)[.]ts"),
    only(
      "what-all-use-knows-nothing",
      "(Backoff|BoundedJson|DurationText|JsonString|LogFields|NearMiss|ShellWord|SystemReason|Terminate)[.]ts",
      "JsonString[.]ts"
    ),
    {
      name: "only-the-entry-points-know-the-command-line",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(bin|cli/)" },
      to: { path: "^src/(bin|cli/)|@effect/cli" }
    },
    {
      name: "only-the-edges-know-the-platform-of-node",
      severity: "error",
      comment: "everything else asks for services, so that a Layer can replace them",
      from: {
        path: "^src/",
        pathNot: "^src/(bin|cli/RecordFile|engine/EngineHttp|engine/Ssh|operate/Otlp|operate/Server)[.]ts"
      },
      to: { path: "@effect/platform-node" }
    },
    {
      name: "pure-modules-import-no-effect",
      severity: "error",
      from: {
        path: "^src/(DurationText|JsonString|LogFields|NearMiss|scripts/Environment|scripts/Findings|scripts/Inventory|scripts/FileHead|scripts/Listing|scripts/Passwd|scripts/PrivateGroup|scripts/ScriptText|scripts/Shebang|event/Leaves|event/OwnKeys|scripts/Output|scripts/ScriptOptions|scripts/ProcessGroup|dispatch/Pace|dispatch/LoopGuard|event/EventCatalogue|event/SampleEvent|event/PodmanEvents|feed/Belief|feed/KnownRecords|feed/Outage|feed/Resume|cli/Arguments|cli/Table|operate/Address|operate/Health|operate/OtelSettings|operate/Page|operate/Words)[.]ts"
      },
      to: { path: "node_modules/(effect|@effect)/" }
    },
    { name: "no-circle", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-way-into-tests",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|bench|examples)/" }
    },
    {
      name: "nothing-from-the-barrel-of-effect",
      severity: "error",
      comment: "deep imports keep what is loaded small",
      from: {},
      to: { path: "node_modules/(effect|@effect/[^/]+)/(dist/[^/]+|src)/index[.]", dependencyTypesNot: ["type-only"] }
    }
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "default"] }
  }
}
