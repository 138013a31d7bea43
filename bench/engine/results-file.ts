const HEADING = '\n## Memory\n';
const BEGIN = '<!-- memory: begin -->';
const END = '<!-- memory: end -->';
const NOT_YET = '`npm run bench:engine -- --memory` writes this section.';

/** The file with new figures; its section on memory stays as it was last measured. */
export function withFigures(file: string, figures: string): string {
  const from = file.indexOf(BEGIN);
  const to = file.indexOf(END);
  return compose(figures, from < 0 ? NOT_YET : file.slice(from + BEGIN.length, to).trim());
}

/** The file with a new section on memory; everything else stays. */
export function withMemory(file: string, memory: string): string {
  return compose(file.split(HEADING)[0]!, memory);
}

function compose(figures: string, memory: string): string {
  return `${figures.trim() || '# Benchmark'}\n${HEADING}\n${BEGIN}\n${memory.trim()}\n${END}\n`;
}
