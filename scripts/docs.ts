import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { ROOT } from './run-command.js';

/** What is broken in one page: links to files and headings that are not there, and TypeScript that does not parse. */
export function problemsOf(file: string, text: string): string[] {
  return [...brokenLinks(file, text), ...brokenCode(text)];
}

function brokenLinks(file: string, text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
  const problems: string[] = [];
  for (const [, target] of prose.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target!)) continue;
    const [path, anchor] = target!.split('#') as [string, string?];
    const linked = resolve(dirname(file), decodeURI(path));
    if (path !== '' && !existsSync(linked)) problems.push(`links to ${target}, which is not there`);
    else if (anchor && !anchorsOf(path === '' ? text : textOf(linked)).has(anchor)) {
      problems.push(`links to ${target}: no such heading`);
    }
  }
  return problems;
}

function textOf(path: string): string {
  return statSync(path).isFile() ? readFileSync(path, 'utf8') : '';
}

/** As GitHub makes them of headings; a heading that comes again gets `-1`. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain.replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-');
    let unique = anchor;
    for (let again = 1; anchors.has(unique); again++) unique = `${anchor}-${again}`;
    anchors.add(unique);
  }
  return anchors;
}

function brokenCode(text: string): string[] {
  const problems: string[] = [];
  for (const [, language, code] of text.matchAll(/^```(tsx?|typescript)\b.*\n([\s\S]*?)^```/gm)) {
    const fileName = language === 'tsx' ? 'block.tsx' : 'block.ts';
    const { diagnostics } = ts.transpileModule(code!, {
      fileName,
      reportDiagnostics: true,
      compilerOptions: {
        target: ts.ScriptTarget.ESNext,
        module: ts.ModuleKind.ESNext,
        jsx: ts.JsxEmit.ReactJSX,
      },
    });
    for (const { messageText, start } of diagnostics ?? []) {
      const line = code!.slice(0, start).split('\n').at(-1) + code!.slice(start).split('\n')[0]!;
      problems.push(
        `has code that does not parse: ${ts.flattenDiagnosticMessageText(messageText, ' ')} In: ${line.trim()}`,
      );
    }
  }
  return problems;
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const folders = ['.', 'docs', 'examples', '.github'].filter((folder) => existsSync(join(ROOT, folder)));
  const pages = folders
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: folder !== '.', encoding: 'utf8' }).map((file) =>
        join(ROOT, folder, file),
      ),
    )
    .filter((file) => file.endsWith('.md') && !file.includes('node_modules'));
  const problems = pages.flatMap((file) =>
    problemsOf(file, readFileSync(file, 'utf8')).map((problem) => `${relative(ROOT, file)} ${problem}`),
  );
  for (const problem of problems) console.error(problem);
  console.log(
    problems.length > 0 ? `${problems.length} problems` : `Links and code are sound in ${pages.length} pages`,
  );
  if (problems.length > 0) process.exitCode = 1;
}
