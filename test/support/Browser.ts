/** A headless Chromium, over its debugging pipe. */

import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import type { Readable, Writable } from "node:stream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TempFolder from "./TempFolder.ts"

const program = "/usr/bin/chromium"

/** Why no browser can run here; nothing if one can. */
export const missing: string | undefined = existsSync(program) ? undefined : `${program} is not installed`

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: Record<string, unknown>
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

/** How a page is looked at. */
export interface Look {
  readonly width: number
  readonly scheme: "light" | "dark"
}

/** What a page is, once it is loaded. */
export interface Seen {
  /** What the browser itself complained of: scripts, policies, requests that it refused. */
  readonly complaints: ReadonlyArray<string>
  /** The addresses that the page asked for. */
  readonly requests: ReadonlyArray<string>
  /** The value of an expression in the page. */
  readonly evaluate: (expression: string) => Promise<unknown>
  /** A picture of the whole page, as PNG. */
  readonly picture: () => Promise<Buffer>
}

export interface Browser {
  readonly open: (url: string, look: Look) => Effect.Effect<Seen>
}

const connect = (browser: ChildProcess) => {
  const [, , , input, output] = browser.stdio as unknown as [unknown, unknown, unknown, Writable, Readable]
  const waiting = new Map<number, (message: Message) => void>()
  const listeners = new Set<(message: Message) => void>()
  let last = 0
  let rest = ""
  output.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\0")
    rest = parts.pop() ?? ""
    for (const part of parts) {
      const message: Message = JSON.parse(part)
      if (message.id !== undefined) waiting.get(message.id)?.(message)
      else for (const listener of listeners) listener(message)
    }
  })
  const send = (method: string, params: object = {}, sessionId?: string) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const id = ++last
      waiting.set(id, ({ error, result = {} }) =>
        error === undefined ? resolve(result) : reject(new Error(`${method}: ${error.message}`))
      )
      input.write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`)
    })
  return { send, listeners }
}

/** Starts a browser, which ends with the scope. */
export const start: Effect.Effect<Browser, never, Scope.Scope> = Effect.gen(function* () {
  const profile = yield* TempFolder.make("browser")
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
  const browser = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(program, [...flags, "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"], {
        stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"]
      })
    ),
    (child) =>
      Effect.async<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  const { listeners, send } = connect(browser)

  const open = async (url: string, { scheme, width }: Look): Promise<Seen> => {
    const { targetId } = await send("Target.createTarget", { url: "about:blank" })
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true })
    const session = String(sessionId)
    const complaints: Array<string> = []
    const requests: Array<string> = []
    let loaded = () => {}
    const isLoaded = new Promise<void>((resolve) => {
      loaded = resolve
    })
    listeners.add(({ method, params = {} }) => {
      if (
        method === "Log.entryAdded" ||
        method === "Runtime.consoleAPICalled" ||
        method === "Runtime.exceptionThrown"
      ) {
        complaints.push(JSON.stringify(params))
      }
      if (method === "Page.javascriptDialogOpening") complaints.push("a dialog")
      if (method === "Network.requestWillBeSent") requests.push(String((params["request"] as { url: string }).url))
      if (method === "Page.loadEventFired") loaded()
    })
    for (const domain of ["Page", "Log", "Runtime", "Network"]) await send(`${domain}.enable`, {}, session)
    await send(
      "Emulation.setDeviceMetricsOverride",
      { width, height: 800, deviceScaleFactor: 1, mobile: width < 500 },
      session
    )
    await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] }, session)
    await send("Page.navigate", { url }, session)
    await isLoaded
    return {
      complaints,
      requests,
      evaluate: async (expression) => {
        const { result } = await send("Runtime.evaluate", { expression, returnByValue: true }, session)
        return (result as { value?: unknown }).value
      },
      picture: async () => {
        const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true }, session)
        return Buffer.from(String(data), "base64")
      }
    }
  }
  return { open: (url, look) => Effect.promise(() => open(url, look)) }
})
