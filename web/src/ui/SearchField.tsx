import { clsx } from 'clsx';
import { Search } from 'lucide-react';
import type { ReactNode } from 'react';

type SearchFieldProps = {
  label: string;
  placeholder?: string;
  value: string;
  onChange: (value: string) => void;
  shortcut?: string;
  className?: string;
};

/** The filter of a list; `/` focuses it. */
export function SearchField({
  label,
  placeholder,
  value,
  onChange,
  shortcut = '/',
  className,
}: SearchFieldProps): ReactNode {
  return (
    <div className={clsx('relative flex min-w-0 items-center', className)}>
      <Search size={14} aria-hidden className="absolute left-2.5 text-subtle" />
      <input
        type="search"
        aria-label={label}
        placeholder={placeholder ?? label}
        value={value}
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          if (value) onChange('');
          else event.currentTarget.blur();
        }}
        className="h-control w-full rounded-control border border-line-strong bg-canvas pr-8 pl-8 text-sm [&::-webkit-search-cancel-button]:hidden"
      />
      {shortcut && !value && (
        <kbd
          aria-hidden
          className="mono absolute right-2 rounded-control border border-line px-1.5 text-subtle pointer-coarse:hidden"
        >
          {shortcut}
        </kbd>
      )}
    </div>
  );
}
