// Writes .br and .gz next to each text asset, so that the server never compresses at run time.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const COMPRESSIBLE = new Set(['.js', '.css', '.html', '.svg', '.json', '.txt']);
const MINIMUM_BYTES = 512;

const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);

async function* files(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    // `.vite` holds the manifest the budget check reads; it is not served.
    if (entry.name === '.vite') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}

const folder = process.argv[2] ?? 'dist';
for await (const path of files(folder)) {
  if (!COMPRESSIBLE.has(extname(path)) || (await stat(path)).size < MINIMUM_BYTES) continue;
  const body = await readFile(path);
  const [br, gz] = await Promise.all([
    brotli(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length } }),
    deflate(body, { level: 9 }),
  ]);
  await Promise.all([writeFile(`${path}.br`, br), writeFile(`${path}.gz`, gz)]);
}
