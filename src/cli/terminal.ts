import { styleText } from 'node:util';

/** C0 and C1 controls, line separators, and what turns the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Text that may come from data, on one line, with nothing that a terminal would obey. */
export function printable(text: string): string {
  return text.replace(CONTROL, escaped);
}

/** JSON on one line; what a terminal would obey is escaped, so it reads back as the same value. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(CONTROL, escaped);
}

export type Style = 'green' | 'yellow' | 'red' | 'dim';

/** Colours, where a terminal shows them and nobody has set NO_COLOR. */
export function paint(style: Style, text: string, stream: NodeJS.WritableStream): string {
  return styleText(style, text, { stream });
}
