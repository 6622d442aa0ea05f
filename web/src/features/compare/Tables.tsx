import { Download } from 'lucide-react';
import type { ReactNode } from 'react';

import type { CompareResult } from '@/api/schema.gen.ts';
import { bytes, milliseconds, number } from '@/lib/format.ts';
import { Button } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';
import { Tag } from '@/ui/Chip.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';

import { t } from './messages.ts';

/** What keeps a container apart on each engine, row by row. */
export function IsolationTable({ result }: { result: CompareResult }): ReactNode {
  return (
    <Card title={t('isolation')} note={t('isolationNote')}>
      {result.isolation.length === 0 && <p className="text-muted">{t('noIsolation')}</p>}
      {result.isolation.length > 0 && (
        <div tabIndex={0} role="region" aria-label={t('isolation')} className="overflow-x-auto">
          <table className="w-full text-left">
            <thead className="text-xs text-subtle">
              <tr>
                <th scope="col" className="py-1.5 pr-3 font-medium">
                  {t('fact')}
                </th>
                {result.engines.map((one) => (
                  <th key={one.engine} scope="col" className="px-3 py-1.5 font-medium">
                    <EngineMark engine={one.engine} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {result.isolation.map((row) => (
                <tr key={row.fact} className="border-t border-line align-top">
                  <th scope="row" className="py-1.5 pr-3 font-normal">
                    <span className="font-semibold">{row.fact}</span>{' '}
                    {row.differs && <Tag tone="warn">{t('differs')}</Tag>}
                    <span className="block text-xs text-subtle">{row.sentence}</span>
                  </th>
                  {result.engines.map((one, index) => (
                    <td key={one.engine} className="px-3 py-1.5 break-words">
                      {row.values[index] ?? '–'}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function download(result: CompareResult): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(result, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `compare-${result.id}.json`;
  link.click();
  // Firefox reads the address after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Every run as measured. */
export function SamplesTable({ result }: { result: CompareResult }): ReactNode {
  const rows = result.engines.flatMap((one) => one.samples.map((sample) => ({ engine: one.engine, ...sample })));
  return (
    <Card
      title={t('samples')}
      note={t('samplesNote', { count: rows.length })}
      actions={
        <Button icon={<Download size={14} aria-hidden />} onClick={() => download(result)}>
          {t('download')}
        </Button>
      }
    >
      <details>
        <summary className="min-h-6 w-fit text-xs text-muted">{t('samples')}</summary>
        <div tabIndex={0} role="region" aria-label={t('samples')} className="mt-2 max-h-96 overflow-auto">
          <table className="w-full text-right whitespace-nowrap">
            <thead className="sticky top-0 bg-surface text-xs text-subtle">
              <tr>
                {[
                  t('engine'),
                  t('number'),
                  t('create'),
                  t('start'),
                  t('runTime'),
                  t('remove'),
                  t('total'),
                  t('peak'),
                  t('exit'),
                ].map((head) => (
                  <th key={head} scope="col" className="px-3 py-1.5 font-medium first:pl-0 first:text-left">
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.engine}:${String(row.run)}`} className="border-t border-line">
                  <td className="py-0.5 pr-3 text-left">
                    <EngineMark engine={row.engine} />
                  </td>
                  <td className="px-3">{number(row.run + 1)}</td>
                  <td className="px-3">{milliseconds(row.create_ms)}</td>
                  <td className="px-3">{milliseconds(row.start_ms)}</td>
                  <td className="px-3">{milliseconds(row.run_ms)}</td>
                  <td className="px-3">{milliseconds(row.remove_ms)}</td>
                  <td className="px-3">{milliseconds(row.total_ms)}</td>
                  <td className="px-3">{bytes(row.memory_peak_bytes)}</td>
                  <td className="px-3">{row.exit_code}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </Card>
  );
}
