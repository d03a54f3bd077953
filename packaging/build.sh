#!/bin/sh
# packaging/build.sh OUT: builds a release into OUT: the npm tarball, the .deb and the .rpm for this machine's
# architecture, the list of what is inside (CycloneDX), and checksums. It needs dpkg-deb and rpmbuild, and `npm ci` first.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(node -p 'require("./package.json").version')
name=docker-event-scripts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The same commit gives the same packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y package.json)}
export SOURCE_DATE_EPOCH

# npm would pack without a word what was not built, for example with ignore-scripts.
npm run --silent build
tarball=$out/$(npm pack --silent --ignore-scripts --pack-destination "$out" | tail -1)
for file in dist/bin.js dist/lib/index.js dist/lib/state.js dist/lib/testing.js dist/man/des.1 contrib/systemd/des.service; do
  tar -tzf "$tarball" "package/$file" >/dev/null
done

# The tree that both packages install: the command with its one dependency, and no library.
tree=$work/tree
lib=$tree/usr/lib/$name
mkdir -p "$lib" "$tree/usr/bin" "$tree/etc/default" "$tree/etc/docker/events.d" "$tree/usr/share/doc/$name/contrib"
tar -xzf "$tarball" -C "$lib" --strip-components=1
mv "$lib/docs" "$lib/examples" "$lib/README.md" "$lib/CHANGELOG.md" "$tree/usr/share/doc/$name/"
mv "$lib/LICENSE" "$tree/usr/share/doc/$name/copyright"
mkdir -p "$tree/usr/lib/systemd"
mv "$lib/contrib/systemd/user" "$tree/usr/lib/systemd/user"
mv "$lib/contrib/systemd" "$tree/usr/lib/systemd/system"
mv "$lib/contrib/default/des" "$tree/etc/default/des"
mv "$lib/contrib/grafana" "$lib/contrib/haproxy" "$lib/contrib/prometheus" "$tree/usr/share/doc/$name/contrib/"
rm -r "$lib/contrib" "$lib/dist/lib"
cp package-lock.json "$lib/"
(cd "$lib" && npm ci --silent --omit=dev --omit=peer --ignore-scripts --no-audit --no-fund)
rm "$lib/package-lock.json" "$lib/node_modules/.package-lock.json"
chmod 755 "$lib/dist/bin.js"
ln -s "../lib/$name/dist/bin.js" "$tree/usr/bin/des"
for page in des.1 des-scripts.7; do
  section=$tree/usr/share/man/man${page##*.}
  mkdir -p "$section"
  # Without a name and a time, so that the same commit gives the same package.
  gzip -9n <"$lib/dist/man/$page" >"$section/$page.gz"
done
rm -r "$lib/dist/man"
completions=$tree/usr/share
mkdir -p "$completions/bash-completion/completions" "$completions/zsh/vendor-completions" "$completions/fish/vendor_completions.d"
node dist/bin.js --completions bash >"$completions/bash-completion/completions/des"
node dist/bin.js --completions zsh >"$completions/zsh/vendor-completions/_des"
node dist/bin.js --completions fish >"$completions/fish/vendor_completions.d/des.fish"
chmod -R u=rwX,go=rX "$tree"

deb() {
  architecture=$(dpkg --print-architecture)
  root=$work/deb
  cp -a "$tree" "$root"
  mkdir "$root/DEBIAN"
  sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$(du -sk "$tree" | cut -f1)/" packaging/deb/control >"$root/DEBIAN/control"
  echo /etc/default/des >"$root/DEBIAN/conffiles"
  for script in postinst prerm postrm; do install -m 755 "packaging/deb/$script" "$root/DEBIAN/"; done
  dpkg-deb --root-owner-group --build "$root" "$out/${name}_${version}_$architecture.deb" >/dev/null
}

rpm() {
  rpmbuild -bb --quiet --define "_topdir $work/rpm" --define "_rpmdir $out" --define "tree $tree" --define "version $version" \
    --define "_rpmfilename %{NAME}-%{VERSION}-1.%{ARCH}.rpm" packaging/rpm/des.spec
}

deb
rpm
# The command is a bundle, so what it was built from counts, too.
npm sbom --package-lock-only --sbom-format cyclonedx >"$out/$name-$version.cdx.json"
(cd "$out" && sha256sum "$name"* >SHA256SUMS && cat SHA256SUMS)
