const backslash = 0x5c

/**
 * The position of the closing quote of the string that begins at `start`, or the end of the text. A label can be most of a text, so its
 * characters are not read one by one.
 */
export const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}
