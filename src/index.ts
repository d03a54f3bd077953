/**
 * The parts of des.
 *
 * @since 1.0.0
 */
export * as Des from "./Des.ts"
export * as Dispatch from "./dispatch/Dispatch.ts"
export * as ContextStore from "./endpoint/ContextStore.ts"
export * as Endpoint from "./endpoint/Endpoint.ts"
export * as EndpointSearch from "./endpoint/EndpointSearch.ts"
export * as Engine from "./engine/Engine.ts"
export * as EngineHttp from "./engine/EngineHttp.ts"
export * as DockerEvent from "./event/DockerEvent.ts"
export * as EventCatalogue from "./event/EventCatalogue.ts"
export * as EventFeed from "./feed/EventFeed.ts"
export * as FeedMemory from "./feed/FeedMemory.ts"
export * as Handlers from "./Handlers.ts"
export * as Journal from "./journal/PublicJournal.ts"
export * as Log from "./Log.ts"
export * as Metrics from "./Metrics.ts"
export * as Scrape from "./operate/Scrape.ts"
export * as Environment from "./scripts/Environment.ts"
export * as ScriptDirectory from "./scripts/ScriptDirectory.ts"
export * as ScriptOptions from "./scripts/ScriptOptions.ts"
export * as ScriptRunner from "./scripts/ScriptRunner.ts"
export * as Trust from "./scripts/Trust.ts"
