import { basename } from 'node:path';
import ts from 'typescript';

/**
 * A program that a page shows in pieces. Its code stands on the lines that it has in the page, all others
 * are empty, so an error's line is the page's.
 */
export interface PageProgram {
  /** The page it is in, such as `docs/live-client.md`. */
  readonly page: string;
  /** The name of its file, such as `order-live.ts`. */
  readonly file: string;
  readonly code: string;
  /** The lines that readers see; the rest is hidden, for what the program needs and what the test expects. */
  readonly shown: ReadonlySet<number>;
}

export interface PagePrograms {
  readonly programs: readonly PageProgram[];
  /** Code that would not be run. */
  readonly problems: readonly string[];
}

const BEGIN = /^<!-- program: ([\w-]+\.tsx?) -->$/;
const BLOCK = /^```(tsx?|typescript)\b/;

/**
 * The programs of a page. `<!-- program: name.ts -->` begins one: all TypeScript blocks until the next such line
 * are its code, and so is what stands in comments, between a line `<!-- ts` and a line `-->`.
 */
export function programsOf(page: string, text: string): PagePrograms {
  const programs: { file: string; lines: string[]; shown: Set<number> }[] = [];
  const problems: string[] = [];
  let inside: 'shown' | 'hidden' | 'other' | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const program = programs.at(-1);
    if (inside === null) {
      const file = BEGIN.exec(line)?.[1];
      if (file !== undefined) programs.push({ file, lines: [], shown: new Set() });
      else if (line === '<!-- ts') inside = 'hidden';
      else if (BLOCK.test(line)) inside = 'shown';
      else if (line.startsWith('```')) inside = 'other';
      if ((inside === 'shown' || inside === 'hidden') && program === undefined) {
        problems.push(
          `${page}:${index + 1} is code of no program. Put \`<!-- program: name.ts -->\` before it.`,
        );
      }
    } else if (line === (inside === 'hidden' ? '-->' : '```')) {
      inside = null;
    } else if (inside !== 'other' && program !== undefined) {
      program.lines[index] = line;
      if (inside === 'shown') program.shown.add(index + 1);
    }
  }
  for (const { file, shown } of programs) {
    if (shown.size === 0) problems.push(`${page}: program ${file} shows nothing.`);
  }
  const code = (lines: readonly string[]) => Array.from(lines, (line) => line ?? '').join('\n');
  return {
    programs: programs.map(({ file, lines, shown }) => ({ page, file, code: code(lines), shown })),
    problems,
  };
}

/** A program whose shown statements each call `ran('line:column')` when they run. */
export interface MarkedProgram {
  readonly code: string;
  /** `line:column` of each shown statement, and of each expression that is the body of a shown arrow function. */
  readonly places: ReadonlySet<string>;
}

/** Marks the statements that readers see, without moving a line. `ran` is a JavaScript expression for the function. */
export function markStatements({ file, code, shown }: PageProgram, ran: string): MarkedProgram {
  const kind = file.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const source = ts.createSourceFile(basename(file), code, ts.ScriptTarget.Latest, true, kind);
  const places = new Set<string>();
  const insertions: Insertion[] = [];
  const mark = (node: ts.Node, before: string, after: string, close = '') => {
    const { line, character } = source.getLineAndCharacterOfPosition(node.getStart());
    if (!shown.has(line + 1)) return;
    const place = `${line + 1}:${character + 1}`;
    places.add(place);
    const depth = insertions.length + 1;
    insertions.push({ at: node.getStart(), text: `${before}${ran}('${place}')${after}`, depth });
    if (close !== '') insertions.push({ at: node.getEnd(), text: close, depth: -depth });
  };
  const visit = (node: ts.Node): void => {
    if (isConciseBody(node)) mark(node, '(', ',', ')');
    else if (isStep(node)) {
      const isAlone =
        !ts.isBlock(node.parent) && !ts.isSourceFile(node.parent) && !ts.isCaseClause(node.parent);
      mark(node, isAlone ? '{' : '', ';', isAlone ? '}' : '');
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { code: insert(code, insertions), places };
}

/** A statement that does something where it stands; those that only declare count by what is in them. */
function isStep(node: ts.Node): boolean {
  return (
    ts.isStatement(node) &&
    !ts.isBlock(node) &&
    !ts.isFunctionDeclaration(node) &&
    !ts.isClassDeclaration(node) &&
    !ts.isImportDeclaration(node) &&
    !ts.isExportDeclaration(node) &&
    !ts.isInterfaceDeclaration(node) &&
    !ts.isTypeAliasDeclaration(node)
  );
}

function isConciseBody(node: ts.Node): boolean {
  return node.parent && ts.isArrowFunction(node.parent) && node.parent.body === node && !ts.isBlock(node);
}

interface Insertion {
  readonly at: number;
  readonly text: string;
  /** At one place the inner ones close first, then the outer ones open first: by this number, upwards. */
  readonly depth: number;
}

function insert(code: string, insertions: readonly Insertion[]): string {
  // From the end, so that places before stay where they are.
  const fromEnd = insertions.toSorted((a, b) => b.at - a.at || b.depth - a.depth);
  return fromEnd.reduce((text, { at, text: added }) => text.slice(0, at) + added + text.slice(at), code);
}
