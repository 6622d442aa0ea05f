import { clsx } from 'clsx';
import { type KeyboardEvent, type ReactNode, useId, useRef } from 'react';

import { buttonClass, type ButtonVariant } from './Button.tsx';

export type MenuItem = {
  label: string;
  icon?: ReactNode;
  danger?: boolean | undefined;
  disabledReason?: string | undefined | false | null;
  onSelect: () => void;
};

type MenuProps = {
  label: string;
  items: readonly (MenuItem | 'separator')[];
  /** What the button shows; its name is `label`. */
  children: ReactNode;
  variant?: ButtonVariant;
  square?: boolean;
  className?: string;
};

const GAP = 4;

/** A menu button over the Popover API: light dismiss, Escape and focus return are the browser's. */
export function Menu({ label, items, children, variant = 'ghost', square = false, className }: MenuProps): ReactNode {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);

  const place = (): void => {
    const anchor = button.current?.getBoundingClientRect();
    const node = menu.current;
    if (!anchor || !node) return;
    const { offsetWidth: width, offsetHeight: height } = node;
    const below = anchor.bottom + GAP + height <= window.innerHeight;
    node.style.top = `${Math.max(8, below ? anchor.bottom + GAP : anchor.top - GAP - height)}px`;
    node.style.left = `${Math.max(8, Math.min(anchor.right - width, window.innerWidth - width - 8))}px`;
  };
  const focusItem = (index: number): void => {
    const all = [...(menu.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    all.at(index % Math.max(1, all.length))?.focus();
  };
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    const all = [...event.currentTarget.querySelectorAll<HTMLElement>('[role=menuitem]')];
    const at = all.findIndex((item) => item === document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      focusItem(next);
    } else if (event.key === 'Tab') {
      menu.current?.hidePopover();
    }
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        aria-label={label}
        aria-haspopup="menu"
        popoverTarget={id}
        className={clsx(buttonClass(variant, square), className)}
      >
        {children}
      </button>
      <div
        ref={menu}
        id={id}
        role="menu"
        tabIndex={-1}
        popover="auto"
        aria-label={label}
        onKeyDown={onKeyDown}
        onToggle={(event) => {
          if (event.newState !== 'open') return;
          place();
          focusItem(0);
        }}
        className="fixed min-w-40 rounded-card border border-line bg-raised p-1 text-fg shadow-raised"
      >
        {items.map((item, index) =>
          item === 'separator' ? (
            <hr key={`line-${String(index)}`} className="my-1 border-line" />
          ) : (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              aria-disabled={item.disabledReason ? true : undefined}
              title={item.disabledReason || undefined}
              className={clsx(
                'flex min-h-control w-full items-center gap-2 rounded-control px-2 text-left text-sm',
                item.disabledReason ? 'text-subtle' : 'hover:bg-accent/12 focus:bg-accent/12',
                item.danger && !item.disabledReason && 'text-danger',
              )}
              onClick={() => {
                if (item.disabledReason) return;
                menu.current?.hidePopover();
                item.onSelect();
              }}
            >
              <span className="flex w-4 justify-center">{item.icon}</span>
              {item.label}
            </button>
          ),
        )}
      </div>
    </>
  );
}
