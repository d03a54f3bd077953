import { StringDecoder } from "node:string_decoder"

/** Bounds of what is logged of a run's output, in bytes: of one line, and of all. */
export interface OutputLimits {
  readonly line: number
  readonly run: number
}

export const defaultLimits: OutputLimits = { line: 8192, run: 1_048_576 }

/** What both streams of one run may still log. */
export interface Budget {
  left: number
  dropped: number
}

/**
 * Turns the chunks of one output stream into lines, in memory that does not grow with the output: a line is cut at the
 * limit, and when the run's budget is spent the rest is counted and let go.
 */
export const makeLines = (
  budget: Budget,
  limits: OutputLimits = defaultLimits
): { readonly push: (chunk: Uint8Array) => Array<string>; readonly end: () => Array<string> } => {
  const decoder = new StringDecoder("utf8")
  let line = ""
  // What the current line has beyond the limit, in UTF-16 units.
  let beyond = 0

  const take = (): string => {
    const text = beyond === 0 ? line : `${line}… (${beyond} more characters)`
    line = ""
    beyond = 0
    return text.endsWith("\r") ? text.slice(0, -1) : text
  }

  const append = (text: string): void => {
    const fits = text.slice(0, limits.line - line.length)
    line += fits
    beyond += text.length - fits.length
  }

  return {
    push: (chunk) => {
      const allowed = chunk.subarray(0, budget.left)
      budget.left -= allowed.length
      budget.dropped += chunk.length - allowed.length
      if (allowed.length === 0) return []
      const [first = "", ...rest] = decoder.write(allowed).split("\n")
      append(first)
      return rest.map((next) => {
        const text = take()
        append(next)
        return text
      })
    },
    end: () => {
      append(decoder.end())
      return line === "" ? [] : [take()]
    }
  }
}
