import type * as Https from "node:https"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Layer from "effect/Layer"
import type { Endpoint } from "./Endpoint.ts"

/**
 * The HTTP client that reaches an endpoint: Node's own, since the global fetch ends an answer that is silent for five
 * minutes. Its connections are not shared: a feed holds one for ever.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: { readonly endpoint: Endpoint }): Layer.Layer<HttpClient.HttpClient> => {
  const agent: Https.AgentOptions & { readonly socketPath?: string } =
    options.endpoint._tag === "Unix" ? { socketPath: options.endpoint.path } : {}
  return Layer.provide(NodeHttpClient.layerWithoutAgent, NodeHttpClient.makeAgentLayer(agent))
}
