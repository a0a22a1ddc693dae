#!/bin/sh
# dash: a script that starts small programs, in pipelines and substitutions.
n=$((${1:-100} / 2 + 1))
mkdir -p /tmp/shell && cd /tmp/shell || exit 1
total=0
i=0
while [ $i -lt $n ]; do
  i=$((i + 1))
  name=$(basename "/some/where/file-$i.txt" .txt)
  echo "line $i of $name" >"$name"
  words=$(sed -e 's/line/word/' "$name" | wc -w)
  # shellcheck disable=SC2003 # expr is one more program to start
  total=$((total + words + $(expr $i \* 3)))
  case $name in
  *7) cp "$name" "copy-$name" && rm "$name" ;;
  *3) mv "$name" "moved-$name" ;;
  *) grep -q "of file" "$name" && /bin/true ;;
  esac
done
echo "$total-$(echo ./* | tr ' ' '\n' | sort -r | cksum | tr ' ' -)-$(cat ./* | cksum | tr ' ' -)"
rm -r /tmp/shell
