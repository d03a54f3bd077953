/** The page that shows a status, as one HTML document without scripts. */

import { createHash } from "node:crypto"
import * as Log from "../Log.ts"
import type * as Status from "./Status.ts"
import { formatAge, formatBytes, formatEvents } from "./Words.ts"

/** HTML that is safe to put into HTML. */
interface Html {
  readonly html: string
}

const characters: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

/** A text as HTML. What could forge text or change its direction is escaped as in the log. */
const text = (value: string): string => Log.escape(value).replace(/[&<>"']/g, (found) => characters[found] ?? "")

type Part = Html | string | number | ReadonlyArray<Html>

const isList = (part: Part): part is ReadonlyArray<Html> => Array.isArray(part)

const write = (part: Part): string =>
  isList(part) ? part.map(({ html }) => html).join("") : typeof part === "object" ? part.html : text(String(part))

/** A template that escapes every value which is not HTML already. */
const h = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html => ({
  html: strings.reduce((before, after, at) => `${before}${write(parts[at - 1] ?? "")}${after}`)
})

const styles = `
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --dim: #59636e; --line: #d1d9e0; --good: #1a7f37; --bad: #cf222e; --bar: #0969da; --box: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --dim: #9198a1; --line: #3d444d; --good: #3fb950; --bad: #ff7b72; --bar: #58a6ff; --box: #161b22 } }
* { box-sizing: border-box }
body { background: var(--back); color: var(--text); overflow-wrap: anywhere; font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1100px; padding: 16px }
h1 { font-size: 22px; margin: 0 } h2 { font-size: 16px; margin: 28px 0 8px }
p { margin: 4px 0 } .dim { color: var(--dim) } .good { color: var(--good) } .bad { color: var(--bad) } .good, .bad { font-weight: 600 }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; width: 100% } th, td { padding: 6px 10px; text-align: left; vertical-align: top }
th { color: var(--dim); font-weight: 600; white-space: nowrap } tr + tr > * { border-top: 1px solid var(--line) }
td { min-width: 6.5em } td.script { min-width: 12em }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; font: 13px/1.45 ui-monospace, monospace; margin: 6px 0 14px; max-height: 14em; overflow: auto; overflow-wrap: anywhere; padding: 8px 10px; white-space: pre-wrap }
svg { display: block; width: 100%; height: 90px } rect { fill: var(--bar) } line { stroke: var(--line) }
`

/** What the page may load: nothing but its own style. */
export const contentSecurityPolicy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(styles).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

const ago = (now: number, at: number | undefined): string => (at === undefined ? "never" : `${formatAge(now - at)} ago`)

const took = (from: number, to: number): string =>
  to - from < 10_000 ? `${((to - from) / 1000).toFixed(2)} s` : formatAge(to - from)

const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<Html>, otherwise: string): Html =>
  rows.length === 0
    ? h`<p class="dim">${otherwise}</p>`
    : h`<div class="wide" tabindex="0"><table><tr>${heads.map((head) => h`<th>${head}</th>`)}</tr>${rows}</table></div>`

const feedRow =
  (now: number) =>
  ({ aliveAt, engine, lastEventAt, open, openedAt, opens, why }: Status.WatchedFeed): Html => {
    const state = open
      ? h`<span class="good">open</span> for ${openedAt === undefined ? "?" : formatAge(now - openedAt)}`
      : h`<span class="bad">not open</span>${why === undefined ? "" : `: ${why}`}`
    return h`<tr><td>${engine}</td><td class="script">${state}</td><td>${ago(now, lastEventAt)}</td><td>${ago(now, aliveAt)}</td><td>${opens}</td></tr>`
  }

const runningRow =
  (now: number) =>
  (run: Status.RunningRun): Html =>
    h`<tr><td class="script">${run.script}</td><td class="script">${run.event}</td><td>${run.engine}</td><td>${run.attempt}</td><td>${formatAge(now - run.beganAt)}</td></tr>`

const outcomeOf = ({ exit, outcome }: Status.EndedRun): Html =>
  exit === 0
    ? h`<span class="good">succeeded</span>`
    : h`<span class="bad">${outcome === "exited" || outcome === "failed" ? "failed" : outcome}</span>, exit ${exit}`

const endedRow =
  (now: number) =>
  (run: Status.EndedRun): Html =>
    h`<tr><td class="script">${run.script}</td><td class="script">${run.event}</td><td>${outcomeOf(run)}</td><td>${took(run.beganAt, run.endedAt)}</td><td>${ago(now, run.endedAt)}</td></tr>`

const failure =
  (now: number) =>
  (run: Status.EndedRun): Html =>
    h`<p><strong>${run.script}</strong> for ${run.event}: ${outcomeOf(run)}, attempt ${run.attempt}, ${ago(now, run.endedAt)}</p>
<pre tabindex="0">${run.output === "" ? h`<span class="dim">no output</span>` : escapeLines(run.output)}</pre>`

/** Output keeps its line ends. */
const escapeLines = (output: string): Html => ({ html: output.split("\n").map(text).join("\n") })

/** The height and the width of one minute in the plot. */
const bar = { width: 10, height: 100 }

const plot = (counts: ReadonlyArray<number>): Html => {
  const most = Math.max(1, ...counts)
  const bars = counts.map((count, at) => {
    const height = count === 0 ? 0 : Math.max(2, (count / most) * bar.height)
    return h`<rect x="${at * bar.width + 1}" y="${bar.height - height}" width="${bar.width - 2}" height="${height}"/>`
  })
  const sum = counts.reduce((before, count) => before + count, 0)
  const said = `${formatEvents(sum)} in the last hour, at most ${Math.max(0, ...counts)} in a minute`
  return h`<p class="dim">${said}</p>
<svg viewBox="0 0 ${counts.length * bar.width} ${bar.height}" preserveAspectRatio="none" role="img" aria-label="${said}">
<line x1="0" y1="${bar.height}" x2="${counts.length * bar.width}" y2="${bar.height}"/>${bars}</svg>`
}

const countOf = ({ bytes, events }: Status.Counted): string =>
  events === 0 ? "none" : `${formatEvents(events)}, ${formatBytes(bytes)}`

/** How often a browser loads the page again, in seconds. */
const refresh = 15

/** The page. It has no script and loads nothing. Everything that a stranger could write is escaped. */
export const render = (status: Status.Status): string => {
  const { backlog, now } = status
  const health = status.ready
    ? h`<p class="good">healthy</p>`
    : h`<p class="bad">not healthy</p><ul>${status.reasons.map((reason) => h`<li>${reason}</li>`)}</ul>`
  const waits =
    backlog.events === 0
      ? h`<p>No event waits or runs.</p>`
      : h`<p>${formatEvents(backlog.events)}, ${formatBytes(backlog.bytes)}. The oldest was accepted ${ago(now, backlog.oldestAt)}.</p>
<p>Waiting: ${countOf(backlog.waiting)}${backlog.waiting.events === 0 ? "" : `, the oldest accepted ${ago(now, backlog.waiting.oldestAt)}`}. Running: ${countOf(backlog.running)}${backlog.running.events === 0 ? "" : `, the oldest since ${formatAge(now - (backlog.running.oldestAt ?? now))}`}.</p>`
  const journal =
    backlog.journalBytes === 0
      ? h`<p class="dim">The journal is in memory.</p>`
      : h`<p class="dim">The journal takes ${formatBytes(backlog.journalBytes)} on the disk.</p>`
  const page = h`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${refresh}">
<title>${status.ready ? "des" : "des: not healthy"}</title>
<style>${{ html: styles }}</style>
</head>
<body>
<h1>des</h1>
${health}
<p class="dim">Version ${status.version}, process ${status.pid}, up for ${formatAge(now - status.startedAt)}. ${new Date(now).toISOString().slice(0, 19)} UTC.</p>
<h2>Engines</h2>
${table(["Engine", "Feed", "Last event", "Proven alive", "Opened, times"], status.feeds.map(feedRow(now)), "No engine is watched.")}
<h2>Backlog</h2>
${waits}${journal}
<h2>Events</h2>
${plot(status.eventsPerMinute)}
<h2>Scripts that run now</h2>
${table(["Script", "Event", "Engine", "Attempt", "For"], status.running.map(runningRow(now)), "None.")}
<h2>Last failures</h2>
${status.failures.length === 0 ? h`<p class="dim">None since the start of des.</p>` : status.failures.map(failure(now))}
<h2>Last runs</h2>
${table(["Script", "Event", "Outcome", "Took", "Ended"], status.runs.map(endedRow(now)), "None since the start of des.")}
<h2>Gaps</h2>
${table(
  ["Engine", "Reason", "When"],
  status.gaps.map(
    ({ at, engine, reason }) => h`<tr><td>${engine}</td><td class="script">${reason}</td><td>${ago(now, at)}</td></tr>`
  ),
  "None since the start of des."
)}
</body>
</html>
`
  return page.html
}
