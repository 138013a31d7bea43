// Imports nothing, and says nothing that a much older Node.js could not parse.
const WANTED = '20.19.0';

/** Why this version of Node.js won't do; null when it does. */
export function refusalOf(version: string): string | null {
  const found = version.split('.').map(Number);
  const wanted = WANTED.split('.').map(Number);
  for (let part = 0; part < wanted.length; part += 1) {
    if (found[part]! > wanted[part]!) return null;
    if (found[part]! < wanted[part]!) {
      return `pgflow-live needs Node.js ${WANTED} or newer; this is ${version}. Install a current one from https://nodejs.org, or with your version manager, and run this again.`;
    }
  }
  return null;
}

const refusal = refusalOf(process.versions.node);
if (refusal !== null) {
  console.error(refusal);
  process.exit(1);
}
