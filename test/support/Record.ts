/** What a record is made of; what is not given is that of a container's start. */
export interface Fields {
  readonly Type?: string
  readonly Action?: string
  readonly id?: string
  readonly attributes?: Readonly<Record<string, string>>
  /** More fields of the record, before the others. */
  readonly more?: Readonly<Record<string, unknown>>
}

/** A record as engines write it since API 1.52, with a timeNano that no double holds. */
export const record = ({
  Type = "container",
  Action = "start",
  id = "467730e17a0a",
  attributes = { image: "alpine", name: "web" },
  more = {}
}: Fields = {}): string => {
  const fields = JSON.stringify({
    ...more,
    Type,
    Action,
    Actor: { ID: id, Attributes: attributes },
    scope: "local",
    time: 1795453740
  })
  return `${fields.slice(0, -1)},"timeNano":1795453740123456789}`
}
