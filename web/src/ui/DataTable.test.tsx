// @vitest-environment jsdom
import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { beforeAll, expect, it, vi } from 'vitest';

import { DataTable } from './DataTable.tsx';
import { ScrollHost } from './scroll.ts';

type Row = { id: string };
const rows: readonly Row[] = [{ id: 'a' }, { id: 'b' }, { id: 'c' }];

beforeAll(() => {
  // jsdom lays nothing out: give the scroll container a size so that rows are in view.
  Object.defineProperties(HTMLElement.prototype, {
    clientHeight: { configurable: true, get: () => 600 },
    clientWidth: { configurable: true, get: () => 800 },
  });
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: vi.fn(), removeEventListener: vi.fn() }));
});

function Table({ onOpen, onAct }: { onOpen: (row: Row) => void; onAct: () => void }) {
  const [selection, setSelection] = useState<ReadonlySet<string>>(new Set());
  const [host, setHost] = useState<HTMLElement | null>(null);
  return (
    <main ref={setHost}>
      {host && (
        <ScrollHost value={{ current: host }}>
          <DataTable
            label="Letters"
            rows={rows}
            columns={[
              { id: 'name', header: 'Name', cell: (row) => row.id },
              {
                id: 'act',
                header: '',
                cell: (row) => (
                  <button type="button" aria-label={`Act on ${row.id}`} onClick={onAct}>
                    <svg data-testid={`icon-${row.id}`} />
                  </button>
                ),
              },
            ]}
            rowKey={(row) => row.id}
            rowName={(row) => row.id}
            sort={null}
            onSort={() => undefined}
            card={(row) => row.id}
            onOpen={onOpen}
            selection={selection}
            onSelection={setSelection}
            empty="none"
          />
        </ScrollHost>
      )}
    </main>
  );
}

it('regression: a click on the icon of a button in a row does not open the row', async () => {
  const onOpen = vi.fn<(row: Row) => void>();
  const onAct = vi.fn<() => void>();
  render(<Table onOpen={onOpen} onAct={onAct} />);
  await userEvent.click(screen.getByTestId('icon-b'));
  expect(onAct).toHaveBeenCalledOnce();
  expect(onOpen).not.toHaveBeenCalled();
  await userEvent.click(screen.getByRole('cell', { name: 'b' }));
  expect(onOpen).toHaveBeenCalledWith({ id: 'b' });
});

it('Shift takes all rows in between, and the head tells that some are checked', async () => {
  render(<Table onOpen={() => undefined} onAct={() => undefined} />);
  const user = userEvent.setup();
  await user.click(screen.getByRole('checkbox', { name: 'Select a' }));
  await user.keyboard('{Shift>}');
  await user.click(screen.getByRole('checkbox', { name: 'Select c' }));
  await user.keyboard('{/Shift}');
  expect(screen.getByRole('checkbox', { name: 'Select b' })).toBeChecked();
  await user.click(screen.getByRole('checkbox', { name: 'Select b' }));
  expect(screen.getByRole('checkbox', { name: 'Select all rows' })).toBePartiallyChecked();
});
