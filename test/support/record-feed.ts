/**
 * Records the feed of a real engine while a container lives its life: `npx vite-node test/support/record-feed.ts dockerd examples/container-life.jsonl`.
 * What the engine sends is written as it comes, nothing is added or left out.
 */
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Effect from "effect/Effect"
import { dockerd, type Engine, podman } from "./Engines.ts"
import { poll } from "./Poll.ts"

const content = "/usr/share/nginx/html"
const serve = `httpd -h ${content}; trap "exit 0" TERM; while :; do sleep 0.2; done`

const run = (image: string, ...options: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...["run", "-d", "--name", "web", "--network", "none", "-v", `web-data:${content}`],
  ...["--label", "com.example.role=web", "--label", "com.example.hosts=www.example.com,example.com"],
  ...["--label", "com.example.vhost=www.example.com", "--label", 'com.example.note=It\'s the "front" door'],
  ...["--health-cmd", "wget -q -O /dev/null http://127.0.0.1/", "--health-retries", "1", ...options],
  ...[image, "sh", "-c", serve]
]

const write = ["exec", "web", "sh", "-c", `echo 'It works' > ${content}/index.html`]
const erase = ["exec", "web", "rm", `${content}/index.html`]

/** A command of the engine's client, and the text that the feed has when the next one may come. */
type Step = readonly [until: string, command: ReadonlyArray<string>]

const dockerSteps: ReadonlyArray<Step> = [
  ['"Action":"tag"', ["tag", "nginx:alpine", "registry.example.com/web:1.0"]],
  ['"Type":"volume"', ["volume", "create", "web-data"]],
  ['"Action":"start"', run("nginx:alpine", "--health-interval", "3s")],
  ['"Action":"health_status: healthy"', write],
  ['"Action":"health_status: unhealthy"', erase],
  ['"Action":"restart"', ["restart", "web"]],
  ['"Action":"pause"', ["pause", "web"]],
  ['"Action":"unpause"', ["unpause", "web"]],
  ['"Action":"unmount"', ["kill", "web"]],
  ['"Action":"start"', ["start", "web"]],
  ['"Action":"stop"', ["stop", "web"]],
  ['"Action":"rename"', ["rename", "web", "web-old"]],
  ['"Action":"destroy"', ["rm", "web-old"]],
  ['"Action":"destroy"', ["volume", "rm", "web-data"]],
  ['"Action":"delete"', ["rmi", "registry.example.com/web:1.0", "nginx:alpine"]]
]

// Without systemd podman runs no health check by itself. It tells the status that was there before the check.
const check: Step = ['"Action":"exec_died"', ["healthcheck", "run", "web"]]
const podmanSteps: ReadonlyArray<Step> = [
  ['"Type":"volume"', ["volume", "create", "web-data"]],
  ['"Action":"start"', run("nginx:alpine", "--health-interval", "disable")],
  ['"Action":"exec_died"', write],
  check,
  check,
  ['"Action":"exec_died"', erase],
  check,
  check,
  ['"Action":"restart"', ["restart", "web"]],
  ['"Action":"cleanup"', ["kill", "web"]],
  ['"Action":"start"', ["start", "web"]],
  ['"Action":"cleanup"', ["stop", "web"]],
  ['"Action":"rename"', ["rename", "web", "web-old"]],
  ['"Action":"remove"', ["rm", "web-old"]],
  ['"Action":"remove"', ["volume", "rm", "web-data"]],
  ['"Action":"delete"', ["rmi", "nginx:alpine"]]
]

const feedInto = (engine: Engine, file: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      Fs.writeFileSync(file, "")
      const request = Http.get({ socketPath: engine.socket, path: `/v1.41/events?since=${Date.now() / 1000}` })
      request.on("response", (response) => response.on("data", (chunk: Buffer) => Fs.appendFileSync(file, chunk)))
      return request
    }),
    (request) => Effect.sync(() => request.destroy())
  )

const record = (start: typeof dockerd, image: string, steps: ReadonlyArray<Step>, file: string) =>
  Effect.gen(function* () {
    const engine = yield* start()
    yield* feedInto(engine, file)
    const text = Effect.sync(() => Fs.readFileSync(file, "utf8"))
    yield* engine.importImage(image)
    for (const [until, command] of steps) {
      const before = (yield* text).length
      // A failing health check fails its command, and is wanted.
      yield* engine.cli(...command).pipe(Effect.catchAll((error) => Effect.logInfo(error.message)))
      const said = Effect.map(text, (all) => all.slice(before).includes(until) && all.endsWith("\n"))
      if (!(yield* poll(said, 20_000))) yield* Effect.logError(`${command.join(" ")} did not lead to ${until}`)
    }
  }).pipe(Effect.scoped)

const [engine, file = "feed.jsonl"] = process.argv.slice(2)
await Effect.runPromise(
  engine === "podman"
    ? record(podman, "docker.io/library/nginx:alpine", podmanSteps, file)
    : record(dockerd, "nginx:alpine", dockerSteps, file)
)
