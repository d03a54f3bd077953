/** A text as one word of a shell command. Quotes stand around it if it has other characters than plain paths have. */
export const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
