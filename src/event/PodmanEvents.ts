/**
 * The fields of an event, as the engine sends them, that des needs to translate podman's words. A label cannot set `status` and
 * `HealthStatus`, since they stand beside the actor.
 */
export interface SentEvent {
  readonly Type: string
  readonly Action: string
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Attributes | null }
  readonly scope?: string
  readonly status?: unknown
  readonly HealthStatus?: unknown
}

type Attributes = Readonly<Record<string, string>>

const withAction = (sent: SentEvent, Action: string): SentEvent => ({ ...sent, Action })

const withActor = (sent: SentEvent, ID: string, attributes: Attributes = {}): SentEvent => ({
  ...sent,
  Actor: { ...sent.Actor, ID, Attributes: { ...sent.Actor?.Attributes, ...attributes } }
})

const idOf = (sent: SentEvent): string => sent.Actor?.ID ?? ""

const attribute = (sent: SentEvent, key: string): string | undefined => sent.Actor?.Attributes?.[key]

/** podman writes `containerExitCode` after the labels (`pkg/domain/entities/events.go`), so a label cannot replace it. */
const withExitCode = (sent: SentEvent): SentEvent => {
  const exitCode = attribute(sent, "containerExitCode")
  return exitCode === undefined ? sent : withActor(sent, idOf(sent), { exitCode })
}

const container = (sent: SentEvent): SentEvent => {
  switch (sent.Action) {
    case "remove":
      return withAction(sent, "destroy")
    case "died":
      return withExitCode(withAction(sent, "die"))
    case "exec_died":
      return withExitCode(withAction(sent, "exec_die"))
    case "die":
      // A die of Docker has an exitCode. A synthetic one has no status, so a label cannot give it an exit code.
      return typeof sent.status === "string" && attribute(sent, "exitCode") === undefined ? withExitCode(sent) : sent
    case "health_status":
      return sent.HealthStatus === "healthy" || sent.HealthStatus === "unhealthy"
        ? withAction(sent, `health_status: ${sent.HealthStatus}`)
        : sent
    default:
      return sent
  }
}

const imageActions: Readonly<Record<string, string>> = { loadfromarchive: "load", remove: "delete" }

const image = (sent: SentEvent): SentEvent => {
  const action = Object.hasOwn(imageActions, sent.Action) ? imageActions[sent.Action] : undefined
  const named = action === undefined ? sent : withAction(sent, action)
  // Docker writes the algorithm before the digits of an id. No image reference is 64 hexadecimal digits.
  return /^[0-9a-f]{64}$/.test(idOf(sent)) ? withActor(named, `sha256:${idOf(sent)}`) : named
}

const volume = (sent: SentEvent): SentEvent => {
  const named = sent.Action === "remove" ? withAction(sent, "destroy") : sent
  const name = attribute(sent, "name")
  return idOf(sent) === "" && name !== undefined ? withActor(named, name) : named
}

const network = (sent: SentEvent): SentEvent => {
  // Docker uses `remove` only for networks of a swarm, with the scope swarm.
  const named = sent.Action === "remove" && sent.scope === "local" ? withAction(sent, "destroy") : sent
  const name = attribute(sent, "network")
  if (name === undefined) return named
  switch (sent.Action) {
    case "connect":
    case "disconnect":
      return attribute(sent, "container") === undefined
        ? withActor(named, name, { container: idOf(sent), name })
        : named
    default: {
      const type = attribute(sent, "driver")
      return withActor(named, idOf(sent), type === undefined ? { name } : { name, type })
    }
  }
}

/**
 * Translates an event of podman into Docker's words, if Docker has an event of the same meaning. It returns every other event
 * unchanged.
 *
 * The function does not need to know the engine. Docker sends none of the names and shapes that are changed here, whatever labels its
 * containers and images have. Docker's events of volumes and networks carry no labels at all (moby `daemon/events.go`; podman
 * `libpod/events.go`, `pkg/api/handlers/compat/events.go`). So a record from a file or from the journal is translated as in the feed.
 */
export const asDocker = (sent: SentEvent): SentEvent => {
  switch (sent.Type) {
    case "container":
      return container(sent)
    case "image":
      return image(sent)
    case "volume":
      return volume(sent)
    case "network":
      return network(sent)
    default:
      return sent
  }
}
