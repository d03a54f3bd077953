/** What scripts of a fleet wrote down about their runs, and what is wrong with it. */

/** One line of a script: it began or ended for the event `seq` of an actor. */
export interface Line {
  readonly kind: "begin" | "end" | "beside"
  readonly actor: string
  readonly seq: number
  readonly node: string
  readonly attempt: number
}

/**
 * The body of a script that writes these lines to the file `ran`, for events whose name ends with a number. It says `beside` if a process that
 * began earlier for its actor still runs. `work` is what it does meanwhile.
 */
export const body = (work: string): string => `
actor="$DES_ENGINE/$ACTOR_ID"
say() { echo "$1 $actor \${ACTOR_ATTRIBUTES_NAME##*:} $NODE $DES_ATTEMPT" >>"$RAN"; }
busy="$RAN.busy/\${ACTOR_ID#sha256:}"
if read -r other 2>/dev/null <"$busy" && grep -qsaF "ACTOR_ID=$ACTOR_ID" "/proc/$other/environ"; then say beside; fi
echo "$$" >"$busy"
say begin
${work}
say end
rm -f "$busy"`

/** Reads the lines that {@link body} wrote. */
export const parse = (lines: ReadonlyArray<string>): ReadonlyArray<Line> =>
  lines.map((line) => {
    const [kind, actor = "", seq, node = "", attempt] = line.split(" ")
    if (kind !== "begin" && kind !== "end" && kind !== "beside") throw new Error(`no line of a script: ${line}`)
    return { kind, actor, seq: Number(seq), node, attempt: Number(attempt) }
  })

/** What is wrong: each list is empty where all went well. */
export interface Wrong {
  /** Events whose script never ended. */
  readonly lost: ReadonlyArray<string>
  /** Events that began after a later one of their actor had begun. */
  readonly disordered: ReadonlyArray<string>
  /** Runs that began beside another one of their actor. */
  readonly beside: ReadonlyArray<string>
  /** Runs whose attempt is not above that of the run before, or below the number of runs. */
  readonly untrue: ReadonlyArray<string>
}

/** Judges lines against the events that there were, each as `ACTOR SEQ`. */
export const judge = (lines: ReadonlyArray<Line>, events: ReadonlyArray<string>): Wrong => {
  const ended = new Set<string>()
  const begun = new Map<string, { readonly runs: number; readonly attempt: number }>()
  const newest = new Map<string, number>()
  const disordered: Array<string> = []
  const beside: Array<string> = []
  const untrue: Array<string> = []
  for (const { actor, attempt, kind, node, seq } of lines) {
    const event = `${actor} ${seq}`
    if (kind === "end") ended.add(event)
    else if (kind === "beside") beside.push(`${event} on ${node}`)
    else {
      const before = begun.get(event) ?? { runs: 0, attempt: 0 }
      begun.set(event, { runs: before.runs + 1, attempt })
      if (attempt <= before.attempt || attempt < before.runs + 1)
        untrue.push(`${event}: ${before.attempt}, then ${attempt}`)
      const last = newest.get(actor) ?? -1
      if (seq < last) disordered.push(`${event} after ${last}`)
      newest.set(actor, Math.max(seq, last))
    }
  }
  return { lost: events.filter((event) => !ended.has(event)), disordered, beside, untrue }
}

/** Events whose script ended more than once. At least once allows it: a node may die after the end and before it is written down. */
export const endedTwice = (lines: ReadonlyArray<Line>): ReadonlyArray<string> => {
  const seen = new Set<string>()
  return lines.flatMap(({ actor, kind, seq }) => {
    const event = `${actor} ${seq}`
    if (kind !== "end" || !seen.has(event)) {
      if (kind === "end") seen.add(event)
      return []
    }
    return [event]
  })
}

export const nothingWrong: Wrong = { lost: [], disordered: [], beside: [], untrue: [] }
