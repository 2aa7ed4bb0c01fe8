;; one-jar.clj JAR: PuppetDB and everything that it needs in one file, compiled. Debian's is compiled anew at each start,
;; which takes most of it, and names its libraries by paths that another release of Debian gives to other versions.
(require '[clojure.java.io :as io] '[clojure.string :as string])
(import '(java.io File FileOutputStream)
        '(java.util.jar Attributes$Name JarEntry JarFile JarOutputStream Manifest))

(def classes (io/file *compile-path*))

(def services
  (for [line (string/split-lines (slurp "/etc/puppetdb/bootstrap.cfg"))
        :let [[namespace service] (string/split (string/trim line) #"/")]
        :when (and service (not (string/starts-with? line "#")))]
    (symbol namespace)))

(defn jars
  "A jar and, after it, those that its manifest names, each once."
  [found ^String path]
  (if (or (some #{path} found) (not (.exists (io/file path))))
    found
    (with-open [jar (JarFile. path)]
      (let [named (some-> (.getManifest jar) .getMainAttributes (.getValue Attributes$Name/CLASS_PATH))
            directory (.getParentFile (io/file path))
            absolute #(if (.isAbsolute (io/file %)) % (str (io/file directory %)))]
        (reduce jars (conj found path) (map absolute (remove empty? (string/split (or named "") #"\s+"))))))))

(defn entries
  "What one file has to hold: pairs of a name and what gives its content."
  []
  (let [compiled (for [^File file (file-seq classes) :when (.isFile file)]
                   [(str (.relativize (.toPath classes) (.toPath file))) #(io/input-stream file)])
        borrowed (for [path (jars [] "/usr/share/puppetdb/puppetdb.jar")
                       :let [jar (JarFile. ^String path)]
                       ^JarEntry entry (enumeration-seq (.entries jar))
                       :when (not (or (.isDirectory entry)
                                      (re-find #"^META-INF/(MANIFEST.MF|INDEX.LIST|[^/]*\.(SF|RSA|DSA))$|module-info.class"
                                               (.getName entry))))]
                   [(.getName entry) #(.getInputStream jar entry)])]
    (concat compiled borrowed)))

(def day "In milliseconds." 86400000)

(defn write-jar [path]
  (with-open [out (JarOutputStream. (FileOutputStream. ^String path)
                                    (doto (Manifest.)
                                      (-> .getMainAttributes (.put Attributes$Name/MANIFEST_VERSION "1.0"))))]
    (let [found (entries)
          by-name (group-by first found)]
      (doseq [name (distinct (map first found))
              :let [contents (map second (by-name name))
                    ;; Lists of what implements an interface, one from each library.
                    together (if (string/starts-with? name "META-INF/services/") contents (take 1 contents))]]
        ;; Clojure takes a class only if it is newer than its source.
        (.putNextEntry out (doto (JarEntry. ^String name) (.setTime (if (string/ends-with? name ".class") day 0))))
        (doseq [content together]
          (with-open [in (content)] (io/copy in out))
          (when (next together) (.write out (int \newline))))
        (.closeEntry out)))))

(doseq [namespace (distinct (cons 'puppetlabs.puppetdb.core services))]
  (compile namespace))
(write-jar (first *command-line-args*))
(System/exit 0)
