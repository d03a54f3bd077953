/**
 * One event that an engine emits.
 *
 * @since 1.0.0
 * @category models
 */
export interface CatalogueEntry {
  /** The type of the event, for example `container`. */
  readonly type: string
  /** The file name of the script. It ends before the colon of `exec_create: sh -c x`. */
  readonly action: string
  /** The engines that emit the event, also those with another name for it that des translates (podman's container `remove`). */
  readonly engines: ReadonlyArray<"docker" | "podman">
  /** One sentence that says when the event happens. */
  readonly when: string
  /** The keys that scripts get beside the labels. If both engines emit the event, each may leave out some of them. */
  readonly attributes: ReadonlyArray<string>
}

type Row<Action extends string = string> = readonly [
  action: Action,
  engines: CatalogueEntry["engines"],
  when: string,
  attributes: CatalogueEntry["attributes"]
]

const group = <const Type extends string, const Action extends string>(
  type: Type,
  rows: ReadonlyArray<Row<Action>>
): ReadonlyArray<CatalogueEntry & { readonly type: Type; readonly action: Action }> =>
  rows.map(([action, engines, when, attributes]) => ({ type, action, engines, when, attributes }))

const docker = ["docker"] as const
const podman = ["podman"] as const
const both = ["docker", "podman"] as const

// podman puts `image`, `name` and `podId` on every event of every type, most often empty. The catalogue lists them only if they can
// have a value: `die` and `exec_died`, for example, come without the id of the pod.
const onDocker = ["image", "name"] as const
const onPodman = ["image", "name", "podId"] as const

const container = group("container", [
  ["create", both, "A container was created; it does not run yet.", onPodman],
  ["init", podman, "A container was set up in the runtime, just before its first process starts.", onPodman],
  ["start", both, "A container's main process has started, also when a restart policy started it.", onPodman],
  ["restart", both, "A container is restarted on request (podman: also by its restart policy).", onPodman],
  [
    "health_status",
    both,
    "A container has become healthy or unhealthy (podman: at every health check, changed or not).",
    onPodman
  ],
  ["pause", both, "A container's processes were frozen.", onPodman],
  ["unpause", both, "A container's processes run on after a pause.", onPodman],
  ["rename", both, "A container got another name.", [...onPodman, "oldName"]],
  ["update", both, "A container's settings were changed, for example its memory limit.", onPodman],
  ["attach", both, "A client attached to a container's input and output.", onPodman],
  ["detach", docker, "A client detached from a container that runs on.", onDocker],
  ["resize", docker, "A container's terminal changed its size.", [...onDocker, "height", "width"]],
  ["exec", podman, "A command was started inside a running container.", onPodman],
  [
    "exec_create",
    docker,
    "A command was prepared to run inside a container, also for every health check.",
    [...onDocker, "execID"]
  ],
  [
    "exec_start",
    docker,
    "A command is about to start inside a container, also for every health check.",
    [...onDocker, "execID"]
  ],
  [
    "exec_die",
    both,
    "A command inside a container has ended, also for every health check.",
    [...onDocker, "execID", "exitCode", "containerExitCode"]
  ],
  ["exec_detach", docker, "A client detached from a command that runs on inside a container.", [...onDocker, "execID"]],
  ["top", docker, "A container's processes were listed.", onDocker],
  ["oom", docker, "A container ran out of memory; it may go on running.", onDocker],
  ["kill", both, "A signal was sent to a container (docker: a stop sends one or two).", [...onPodman, "signal"]],
  [
    "die",
    both,
    "A container's main process has ended.",
    [...onDocker, "exitCode", "execDuration", "containerExitCode", "oomKilled"]
  ],
  ["stop", both, "A container was stopped on request; this does not run when it ends by itself.", onPodman],
  ["cleanup", podman, "An ended container's mounts and network were cleaned up.", onPodman],
  ["destroy", both, "A container was removed.", [...onPodman, "containerExitCode"]],
  ["prune", docker, "All stopped containers were removed at once; one event for all of them.", ["reclaimed"]],
  ["commit", both, "An image was made from a container's filesystem.", [...onPodman, "comment", "imageID", "imageRef"]],
  ["export", both, "A container's filesystem was written out as a tar archive.", onPodman],
  ["archive-path", docker, "Files were copied out of a container (docker cp).", onDocker],
  ["extract-to-dir", docker, "Files were copied into a container (docker cp).", onDocker],
  ["mount", podman, "A container's filesystem was mounted on the host.", onPodman],
  ["unmount", podman, "A container's filesystem was unmounted from the host.", onPodman],
  ["checkpoint", both, "A running container's state was saved to disk.", onPodman],
  ["restore", podman, "A container was started from a saved state.", onPodman],
  ["sync", podman, "A container's recorded state was compared with the runtime's (podman ps --sync).", onPodman]
])

const image = group("image", [
  ["pull", both, "An image was pulled from a registry (podman: also at every podman run).", ["name"]],
  ["pull-error", podman, "Pulling an image from a registry failed.", ["name", "error"]],
  ["push", both, "An image was pushed to a registry.", ["name"]],
  ["create", docker, "An image was made by a build or a commit (API 1.46 and later).", ["name"]],
  ["build", podman, "An image was built.", ["name"]],
  ["import", docker, "An image was made from the files of a tar archive.", ["name"]],
  ["load", both, "An image was loaded from an archive of images.", ["name"]],
  ["save", both, "An image was written to an archive of images.", ["name"]],
  ["tag", both, "A tag was given to an image.", ["name"]],
  ["untag", both, "A tag was taken from an image.", ["name"]],
  ["delete", both, "An image was deleted.", ["name"]],
  [
    "prune",
    docker,
    "Unused images were removed at once; one event for all of them (not with the containerd image store).",
    ["reclaimed"]
  ],
  ["mount", podman, "An image's filesystem was mounted on the host.", []],
  ["unmount", podman, "An image's filesystem was unmounted from the host.", []]
])

const volume = group("volume", [
  ["create", both, "A volume was created.", ["driver", "name"]],
  [
    "mount",
    docker,
    "A volume was mounted for a container, at its start or for a docker cp.",
    ["driver", "container", "destination", "read/write", "propagation"]
  ],
  [
    "unmount",
    docker,
    "A volume was unmounted from a container, at its end or after a docker cp.",
    ["driver", "container"]
  ],
  ["destroy", both, "A volume was removed.", ["driver", "name"]],
  [
    "prune",
    both,
    "Unused volumes were removed at once; one event for all of them (podman: one for each).",
    ["reclaimed", "name"]
  ]
])

const network = group("network", [
  ["create", both, "A network was created.", ["name", "type", "network", "driver"]],
  ["connect", both, "A container was connected to a network.", ["container", "name", "type", "network"]],
  ["disconnect", both, "A container was disconnected from a network.", ["container", "name", "type", "network"]],
  ["update", docker, "A network of the swarm was changed.", ["name"]],
  ["destroy", both, "A network of this host was removed.", ["name", "type", "network", "driver"]],
  ["remove", docker, "A network of the swarm was removed.", ["name"]],
  ["prune", docker, "Unused networks were removed at once; one event for all of them.", ["reclaimed"]]
])

const builder = group("builder", [["prune", docker, "The build cache was pruned.", ["reclaimed"]]])

const daemon = group("daemon", [
  [
    "reload",
    docker,
    "The daemon has read its configuration file again.",
    [
      "name",
      "labels",
      "debug",
      "live-restore",
      "features",
      "registry-mirrors",
      "insecure-registries",
      "allow-nondistributable-artifacts",
      "max-concurrent-downloads",
      "max-concurrent-uploads",
      "max-download-attempts",
      "shutdown-timeout",
      "runtimes",
      "default-runtime",
      "default-shm-size",
      "default-ipc-mode",
      "default-cgroupns-mode",
      "cluster-store",
      "cluster-store-opts",
      "cluster-advertise",
      "default-stop-timeout",
      "nri-opts"
    ]
  ]
])

const plugin = group("plugin", [
  ["pull", docker, "A plugin was pulled from a registry.", ["name"]],
  ["create", docker, "A plugin was made from local files.", ["name"]],
  ["enable", docker, "A plugin was enabled.", ["name"]],
  ["disable", docker, "A plugin was disabled.", ["name"]],
  ["remove", docker, "A plugin was removed.", ["name"]]
])

const service = group("service", [
  ["create", docker, "A service of the swarm was created.", ["name"]],
  [
    "update",
    docker,
    "A service of the swarm was changed, or its update made progress.",
    ["name", "image.old", "image.new", "replicas.old", "replicas.new", "updatestate.old", "updatestate.new"]
  ],
  ["remove", docker, "A service of the swarm was removed.", ["name"]]
])

const node = group("node", [
  ["create", docker, "A node has joined the swarm.", ["name"]],
  [
    "update",
    docker,
    "A node of the swarm has changed, for example its state or its role.",
    [
      "name",
      "availability.old",
      "availability.new",
      "role.old",
      "role.new",
      "state.old",
      "state.new",
      "leader.old",
      "leader.new",
      "reachability.old",
      "reachability.new"
    ]
  ],
  ["remove", docker, "A node was removed from the swarm.", ["name"]]
])

const secret = group("secret", [
  ["create", both, "A secret was created (docker: in the swarm).", ["name"]],
  ["update", docker, "A secret of the swarm was changed.", ["name"]],
  ["remove", both, "A secret was removed (docker: from the swarm).", ["name"]]
])

const config = group("config", [
  ["create", docker, "A config of the swarm was created.", ["name"]],
  ["update", docker, "A config of the swarm was changed.", ["name"]],
  ["remove", docker, "A config of the swarm was removed.", ["name"]]
])

const pod = group("pod", [
  ["create", podman, "A pod was created.", ["name"]],
  ["start", podman, "A pod's containers were started.", ["name"]],
  ["pause", podman, "A pod's containers were frozen.", ["name"]],
  ["unpause", podman, "A pod's containers run on after a pause.", ["name"]],
  ["kill", podman, "A signal was sent to a pod's containers.", ["name"]],
  ["stop", podman, "A pod's containers were stopped.", ["name"]],
  ["remove", podman, "A pod was removed.", ["name"]]
])

const artifact = group("artifact", [
  ["create", podman, "An artifact was added to the local store (podman 6 and later).", ["name"]],
  ["pull", podman, "An artifact was pulled from a registry (podman 6 and later).", ["name"]],
  ["push", podman, "An artifact was pushed to a registry (podman 6 and later).", ["name"]],
  ["remove", podman, "An artifact was removed from the local store (podman 6 and later).", ["name"]]
])

const system = group("system", [
  ["refresh", podman, "podman has run for the first time since the host started.", []],
  ["renumber", podman, "podman's locks were numbered again (podman system renumber).", []],
  ["auto-update", podman, "An automatic update of containers begins (podman auto-update).", []],
  ["log-rotation", podman, "The file that holds podman's events was shortened.", ["name"]]
])

/** The type of des's own events, and their actions. No engine emits them, but scripts run for them. */
export const ownType = "des"
export const ownActions = ["start", "connected", "disconnected", "gap", "failed", "stop"] as const

/**
 * Every event that engines emit today, by type: dockerd 20.10 to 29, and podman.
 *
 * Some events are missing on purpose. Container `copy` and plugin `install` are only documented. podman's `history` is only a name in
 * its source. podman's `machine` events go to another socket and never into the feed.
 *
 * @since 1.0.0
 * @category catalogue
 */
export const entries = [
  ...container,
  ...image,
  ...volume,
  ...network,
  ...builder,
  ...daemon,
  ...plugin,
  ...service,
  ...node,
  ...secret,
  ...config,
  ...pod,
  ...artifact,
  ...system
] satisfies ReadonlyArray<CatalogueEntry>

/** `TYPE/ACTION` of one group, as a type that keeps each type's own actions apart. */
type KeyOf<Entry> = Entry extends {
  readonly type: infer Type extends string
  readonly action: infer Action extends string
}
  ? `${Type}/${Action}` | `${Type}/all`
  : never

/**
 * The names of the events that engines and des send today, as scripts and handlers have them: `container/die`, `container/all`, `all`.
 * Engines of tomorrow may send others.
 *
 * @since 1.0.0
 * @category models
 */
export type EventKey =
  | KeyOf<(typeof entries)[number]>
  | `${typeof ownType}/${(typeof ownActions)[number]}`
  | `${typeof ownType}/all`
  | "all"
