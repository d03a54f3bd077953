/**
 * The parts of des, in the way of an event.
 *
 * @since 1.0.0
 */
export * as Des from "./Des.ts"
export * as Dispatch from "./Dispatch.ts"
export * as ContextStore from "./docker/ContextStore.ts"
export * as DockerEvent from "./docker/DockerEvent.ts"
export * as Endpoint from "./docker/Endpoint.ts"
export * as EndpointSearch from "./docker/EndpointSearch.ts"
export * as Engine from "./docker/Engine.ts"
export * as EngineHttp from "./docker/EngineHttp.ts"
export * as EngineReport from "./docker/EngineReport.ts"
export * as EventCatalogue from "./docker/EventCatalogue.ts"
export * as EventFeed from "./docker/EventFeed.ts"
export * as FeedMemory from "./docker/FeedMemory.ts"
export * as FeedRecords from "./docker/FeedRecords.ts"
export * as Missed from "./docker/Missed.ts"
export * as OwnEvent from "./docker/OwnEvent.ts"
export * as Journal from "./Journal.ts"
export * as Log from "./Log.ts"
export * as Environment from "./scripts/Environment.ts"
export * as ScriptDirectory from "./scripts/ScriptDirectory.ts"
export * as ScriptOptions from "./scripts/ScriptOptions.ts"
export * as ScriptRunner from "./scripts/ScriptRunner.ts"
export * as Trust from "./scripts/Trust.ts"
