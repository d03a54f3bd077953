/**
 * An event as an engine sends it, before it has its place in a `DockerEvent`: the fields that say whose it is and what
 * it means. `status` and `HealthStatus` stand beside the actor, where no label can put them.
 *
 * @since 1.0.0
 * @category models
 */
export interface Sent {
  readonly Type: string
  readonly Action: string
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Attributes | null }
  readonly scope?: string
  readonly status?: unknown
  readonly HealthStatus?: unknown
}

type Attributes = Readonly<Record<string, string>>

const withAction = (sent: Sent, Action: string): Sent => ({ ...sent, Action })

const withActor = (sent: Sent, ID: string, attributes: Attributes = {}): Sent => ({
  ...sent,
  Actor: { ...sent.Actor, ID, Attributes: { ...sent.Actor?.Attributes, ...attributes } }
})

const idOf = (sent: Sent): string => sent.Actor?.ID ?? ""

const attribute = (sent: Sent, key: string): string | undefined => sent.Actor?.Attributes?.[key]

/** podman writes this key after the labels (`pkg/domain/entities/events.go`), so it is the engine's word. */
const withExitCode = (sent: Sent): Sent => {
  const exitCode = attribute(sent, "containerExitCode")
  return exitCode === undefined ? sent : withActor(sent, idOf(sent), { exitCode })
}

const container = (sent: Sent): Sent => {
  switch (sent.Action) {
    case "remove":
      return withAction(sent, "destroy")
    case "died":
      return withExitCode(withAction(sent, "die"))
    case "exec_died":
      return withExitCode(withAction(sent, "exec_die"))
    case "die":
      // Docker's has an exit code, and that of an event which des made up has no status: a label cannot give it one.
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

const image = (sent: Sent): Sent => {
  const action = Object.hasOwn(imageActions, sent.Action) ? imageActions[sent.Action] : undefined
  const named = action === undefined ? sent : withAction(sent, action)
  // Docker's ids have their algorithm in front, and no reference of an image is 64 hexadecimal digits.
  return /^[0-9a-f]{64}$/.test(idOf(sent)) ? withActor(named, `sha256:${idOf(sent)}`) : named
}

const volume = (sent: Sent): Sent => {
  const named = sent.Action === "remove" ? withAction(sent, "destroy") : sent
  const name = attribute(sent, "name")
  return idOf(sent) === "" && name !== undefined ? withActor(named, name) : named
}

const network = (sent: Sent): Sent => {
  // Docker removes only the networks of a swarm under this name, and says that they are a swarm's.
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
 * An event of podman in Docker's words, wherever both mean the same; every other event, and every one of Docker's, is
 * given back as it is.
 *
 * Nothing needs to say which engine it was: Docker has none of the names and shapes that are changed here, whatever
 * labels its containers and images have. Its events of volumes and networks carry no labels at all (moby
 * `daemon/events.go`; podman `libpod/events.go`, `pkg/api/handlers/compat/events.go`). So a record from a file or from
 * the journal means the same as it did in the feed.
 *
 * @since 1.0.0
 * @category combinators
 */
export const asDocker = (sent: Sent): Sent => {
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
