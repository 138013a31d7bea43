import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

/** House rules that no linter knows. Each says what it found, where, and what to do. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

const FOLDERS = ['src', 'test', 'scripts', 'bench', 'examples'];
const NAMELESS = /(^|[/-])(utils?|helpers?|commons?|managers?|misc)([/.-]|$)/i;
const TEST_FILE = /\.test\.tsx?$/;
/** Tests, and the simulators that they run against. */
const NOT_SHIPPED = /\.test(-support)?\.tsx?$/;
const LONG = 300;

const SQL = [
  /^\s*(select|with)\s[\s\S]*\sfrom\s/i,
  /^\s*select\s+[\w."${}]+\(/i,
  /^\s*insert\s+into\s/i,
  /^\s*update\s+\S+\s+set\s/i,
  /^\s*delete\s+from\s/i,
  /^\s*(create|alter|drop)\s+(table|schema|function|index|type|role|database)\s/i,
  /^\s*(un)?listen\s+"/i,
  /\bpg_notify\(/i,
];

/** Ways to leave a test out that carry no reason. */
const WITHOUT_REASON = new Set(['only', 'skip', 'todo', 'fails', 'skipIf', 'runIf']);
const TEST_FUNCTIONS = new Set(['test', 'it', 'describe', 'suite', 'bench', 'describeEachDatabase']);

/** What is wrong with one file; `file` is its path from the repository's root. */
export function lintFile(file: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const report = (line: number, message: string, severity: Finding['severity'] = 'error') =>
    findings.push({ file, line, severity, message });

  if (NAMELESS.test(file)) report(1, 'A name that says nothing. Name it after what it does.');
  if (/^src\/.*\btypes\.tsx?$/.test(file)) report(1, 'No types.ts: a type lives with what makes it.');
  if (file.endsWith('.sql')) {
    if (/^src\/(?!postgres\/)/.test(file)) report(1, 'SQL lives in src/postgres.');
    return findings;
  }
  const lines = text.split('\n').length;
  if (/^src\//.test(file) && !NOT_SHIPPED.test(file) && lines > LONG) {
    report(LONG, `${lines} lines. Over ${LONG} is a smell: is it two things?`, 'warning');
  }

  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const lineOf = (node: ts.Node) => source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const visit = (node: ts.Node): void => {
    if (TEST_FILE.test(file)) lintTest(node, (message) => report(lineOf(node), message));
    else if (/^src\/(?!postgres\/)/.test(file) && !NOT_SHIPPED.test(file) && isSql(node)) {
      report(lineOf(node), 'SQL outside src/postgres. Put it behind a function there.');
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return findings;
}

function lintTest(node: ts.Node, report: (message: string) => void): void {
  if (
    ts.isPropertyAccessExpression(node) &&
    WITHOUT_REASON.has(node.name.text) &&
    isTestFunction(node.expression)
  ) {
    const reason =
      node.name.text === 'only' ? '' : ' State a reason: `ctx.skip(condition, "why")` inside the test.';
    report(`\`.${node.name.text}\` leaves tests out.${reason}`);
  }
  if (
    ts.isImportDeclaration(node) &&
    /^(node:)?timers\/promises$/.test((node.moduleSpecifier as ts.StringLiteral).text)
  ) {
    report('Tests wait for signals and never sleep.');
  }
  if (
    ts.isCallExpression(node) &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === 'setTimeout'
  ) {
    const before = node.getSourceFile().text.slice(0, node.getStart()).split('\n').slice(-2).join('\n');
    if (!/\/\/ Timer: \S/.test(before)) {
      report('Tests wait for signals and never sleep. If this is no sleep, say why above: `// Timer: …`.');
    }
  }
}

/** `test`, `test.concurrent`, `describe.each(…)`. */
function isTestFunction(node: ts.Expression): boolean {
  if (ts.isIdentifier(node)) return TEST_FUNCTIONS.has(node.text);
  if (ts.isPropertyAccessExpression(node) || ts.isCallExpression(node))
    return isTestFunction(node.expression);
  return false;
}

function isSql(node: ts.Node): boolean {
  if (!ts.isStringLiteralLike(node) && !ts.isTemplateHead(node)) return false;
  return SQL.some((pattern) =>
    pattern.test(ts.isTemplateHead(node) ? node.parent.getText().slice(1) : node.text),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const files = FOLDERS.filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
    )
    .filter((file) => /\.(tsx?|sql)$/.test(file) && !/\/(node_modules|fixtures)\//.test(file));
  const findings = files.flatMap((file) => lintFile(file, readFileSync(file, 'utf8')));
  for (const { file, line, severity, message } of findings) {
    console[severity === 'error' ? 'error' : 'warn'](`${file}:${line} ${severity}: ${message}`);
  }
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  console.log(errors > 0 ? `${errors} house rules broken` : `House rules hold in ${files.length} files`);
  if (errors > 0) process.exitCode = 1;
}
