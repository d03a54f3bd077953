/**
 * What the package exports as `Journal`: the contract, and the journal in memory.
 *
 * @since 1.0.0
 */
export * from "./Journal.ts"
export { defaultCapacity, layer as layerMemory } from "./JournalInMemory.ts"
