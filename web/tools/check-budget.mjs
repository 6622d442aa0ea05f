// Fails when what a first visit loads is heavier than agreed: see BUDGETS. Sizes are gzip -9, KB = 1000 bytes.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const KB = 1000;
const CSS_BUDGET = 20 * KB;
const BUDGETS = [
  { name: 'first page', route: 'src/features/dashboard/DashboardPage.tsx', js: 150 * KB },
  { name: 'sign-in', route: 'src/features/auth/LoginPage.tsx', js: 150 * KB },
  { name: 'containers', route: 'src/features/containers/ContainersPage.tsx', js: 175 * KB },
  { name: 'images', route: 'src/features/images/ImagesPage.tsx', js: 175 * KB },
  { name: 'volumes', route: 'src/features/volumes/VolumesPage.tsx', js: 175 * KB },
];
// Heavy libraries that only lazy routes may load.
const LAZY_ONLY = [/recharts/i, /react-hook-form/i, /\bzod\b/i];

const dist = process.argv[2] ?? 'dist';
const manifest = JSON.parse(await readFile(join(dist, '.vite/manifest.json'), 'utf8'));
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
if (!entry) throw new Error('no entry in the manifest');

function closure(start) {
  const seen = new Set();
  const queue = [...start];
  for (let key = queue.pop(); key; key = queue.pop()) {
    if (seen.has(key) || !manifest[key]) continue;
    seen.add(key);
    queue.push(...(manifest[key].imports ?? []));
  }
  return [...seen];
}

const sizes = new Map();
async function size(file) {
  if (!sizes.has(file)) sizes.set(file, gzipSync(await readFile(join(dist, file)), { level: 9 }).length);
  return sizes.get(file);
}
async function sum(list) {
  let total = 0;
  for (const file of new Set(list)) total += await size(file);
  return total;
}

let failed = false;
function report(name, bytes, budget) {
  const over = bytes > budget;
  failed ||= over;
  console.log(
    `${over ? 'OVER' : 'ok  '} ${name.padEnd(22)} ${(bytes / KB).toFixed(1).padStart(7)} KB of ${budget / KB} KB`,
  );
}

for (const { name, route, js } of BUDGETS) {
  if (!manifest[route]) {
    console.error(`OVER ${name}: no chunk for ${route}`);
    failed = true;
    continue;
  }
  const chunks = closure([entry, route]);
  report(`${name}, JavaScript`, await sum(chunks.map((key) => manifest[key].file)), js);
  report(`${name}, CSS`, await sum(chunks.flatMap((key) => manifest[key].css ?? [])), CSS_BUDGET);
}
for (const key of closure([entry])) {
  if (LAZY_ONLY.some((pattern) => pattern.test(key))) {
    console.error(`OVER ${key} is reachable from the entry without a lazy import`);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;
