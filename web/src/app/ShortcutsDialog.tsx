import type { ReactNode } from 'react';

import { Dialog } from '@/ui/Dialog.tsx';

import { t } from './messages.ts';
import { NAV } from './nav.ts';

export function ShortcutsDialog({ onClose }: { onClose: () => void }): ReactNode {
  const list: readonly (readonly [string, string])[] = [
    ['?', t('shortcutHelp')],
    ['/', t('shortcutFilter')],
    ['n', t('shortcutNew')],
    ...NAV.map(({ key, label }) => [`g ${key}`, t('shortcutGo', { page: label })] as const),
    ['j k', t('shortcutRows')],
    ['Enter', t('shortcutOpen')],
    ['x  X', t('shortcutCheck')],
    ['s  r  l', t('shortcutState')],
    ['Delete', t('shortcutRemove')],
  ];
  return (
    <Dialog title={t('shortcuts')} onClose={onClose}>
      <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-2">
        {list.map(([keys, text]) => (
          <div key={keys} className="contents">
            <dt className="flex gap-1">
              {keys.split(/\s+/).map((key) => (
                <kbd key={key} className="mono rounded-control border border-line px-1.5 text-muted">
                  {key}
                </kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
