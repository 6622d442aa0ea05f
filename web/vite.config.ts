import { fileURLToPath } from 'node:url';

import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The development server hands API calls and the live socket to a running `containeros serve`.
const backend = process.env['CONTAINEROS_URL'] ?? 'http://127.0.0.1:7070';

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  server: { proxy: { '/api': { target: backend, ws: true } } },
  build: {
    target: 'es2023',
    manifest: true,
    // A polyfill for browsers without modulepreload; none of the supported ones needs it.
    modulePreload: { polyfill: false },
    // The Content-Security-Policy allows images from data: but fonts and scripts only from files.
    assetsInlineLimit: 0,
  },
  // A document takes a second to make: the few files that need one say so in their first line.
  test: { environment: 'node', include: ['src/**/*.test.{ts,tsx}'], setupFiles: ['src/test-setup.ts'] },
});
